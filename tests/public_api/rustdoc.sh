#!/bin/sh
# rustdoc with its unstable options. Cargo runs this script instead of rustdoc, so that the variable is set for rustdoc
# alone: build scripts that see it are run again, and all crates above them are built again.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
