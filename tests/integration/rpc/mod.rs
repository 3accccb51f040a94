//! The protocol between brubeck applications, tested against an implementation in Python.

mod python;
