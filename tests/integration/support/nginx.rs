//! A real nginx.

use super::with_timeout;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// The end of the lines that nginx logs when it starts. By then it listens.
const STARTED: &str = "getrlimit(RLIMIT_NOFILE)";

/// A running nginx. It is killed when dropped.
pub struct Nginx {
    _process: Child,
    _log: Lines<BufReader<ChildStderr>>,
}

impl Nginx {
    /// Starts nginx with these directives of `http`, and with its files in `folder`. Returns `None` if it ends before it listens, such as
    /// because another process has its port.
    pub async fn start(folder: &Path, directives: &str) -> Option<Nginx> {
        let path = folder.display();
        let config = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr notice;\n\
             events {{}}\n\
             http {{\n\
               access_log off; error_log {path}/log; client_body_temp_path {path}/a; proxy_temp_path {path}/b;\n\
               fastcgi_temp_path {path}/c; uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;\n\
               {directives}\n\
             }}\n"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config).expect("a file");
        let mut process = Command::new("nginx")
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a running nginx");
        let mut log = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        while let Some(line) = with_timeout(log.next_line()).await.expect("a readable pipe") {
            if line.contains(STARTED) {
                return Some(Nginx {
                    _process: process,
                    _log: log,
                });
            }
        }
        None
    }
}
