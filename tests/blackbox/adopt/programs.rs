//! Real servers, unmodified.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::serving::{HTTP, Mode, REDIS, Server};
use crate::servers::GO;
use crate::support::*;

/// Tests a server with both modes, each on an address of its own.
fn both(serve: impl Fn(Server, Address)) {
    for mode in [Mode::Adopt, Mode::Capture] {
        let address = Address::new();
        serve(Server::new(launcher(), mode, address.0), address);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn python_http_server() {
    if needs(&["python3"]) {
        both(|server, address| {
            let host = address.0.ip().to_string();
            server.drops().serves(&["python3", "-m", "http.server", "8080", "--bind", &host]);
        });
    }
}

const NODE: &str =
    "const server = require('http').createServer((q, r) => r.end('hello\\n')).listen(8080, process.argv[1]);
                    process.on('SIGTERM', () => server.close())";

#[test]
fn node_http() {
    if needs(&["node"]) {
        both(|server, address| {
            server.serves(&["node", "-e", NODE, &address.0.ip().to_string()]);
        });
    }
}

/// The primary accepts, and drops what its workers have not taken yet when they leave.
#[test]
fn node_cluster() {
    if needs(&["node"]) {
        both(|server, address| {
            let code = format!(
                "const c = require('cluster'); if (c.isPrimary) {{
                    c.fork(); c.fork(); process.on('SIGTERM', () => c.disconnect())
                 }} else {{ {NODE} }}",
                NODE = NODE.replace("process.argv[1]", &format!("'{}'", address.0.ip()))
            );
            let program = server.setup.home().write("cluster.js", &code);
            server.drops().serves(&["node", &text(&program)]);
        });
    }
}

/// The program, static, built by the system's Go or by one that tests/setup has fetched.
fn go(setup: &Setup, version: Option<&str>) -> Option<String> {
    let source = setup.home().write("server.go", GO);
    let program = setup.home().join("server");
    let given = std::env::var_os("LAUNCHER_TEST_CACHE").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/launcher-tests");
    let root = version.map(|version| given.unwrap_or_else(home).join(format!("go-{version}")));
    let tool = root.as_ref().map_or("go".into(), |root| root.join("bin/go"));
    if root.is_some() && !tool.exists() {
        assert!(std::env::var("CI").is_err(), "needs {}, which tests/setup fetches", tool.display());
        println!("skipped: needs {}, which tests/setup fetches", tool.display());
        return None;
    }
    let mut build = Command::new(tool);
    build.args(["build", "-o"]).args([&program, &source]);
    build.env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache")).env("CGO_ENABLED", "0");
    build.envs([("GOFLAGS", "-mod=mod"), ("GO111MODULE", "off"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
    if let Some(root) = root {
        build.env("GOROOT", root);
    }
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(text(&program))
}

/// A server built by the system's Go, which may be one of today.
fn answering(server: Server) -> Server {
    let told = Command::new("go").arg("version").output().unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    let minor = told.split("go1.").nth(1).and_then(|rest| rest.split(['.', ' ']).next()?.parse().ok());
    if minor.is_some_and(|minor: u32| minor <= 24) { server } else { server.drops() }
}

#[test]
fn go_of_the_system() {
    if needs(&["go"]) {
        both(|server, address| {
            let program = go(&server.setup, None).unwrap();
            answering(server).serves(&[&program, &address.to_string()]);
        });
    }
}

/// It asks for MPTCP, and closes connections whose first request comes when its shutdown has begun (net/http of Go 1.27;
/// that of 1.24 answers them).
#[test]
fn go_of_today() {
    both(|server, address| {
        if let Some(program) = go(&server.setup, Some("1.27.3")) {
            server.drops().serves(&[&program, &address.to_string()]);
        }
    });
}

/// `:8080` in Go is a dual-stack IPv6 socket.
#[test]
fn go_on_every_address_of_both_families() {
    if needs(&["go"]) {
        let setup = launcher();
        let program = go(&setup, None).unwrap();
        let port = own_port();
        let address = SocketAddr::new("::".parse().unwrap(), port);
        answering(Server::new(setup, Mode::Adopt, address)).serves(&[&program, &format!(":{port}")]);
    }
}

const WSGI: &str =
    "def app(environ, start):\n    start('200 OK', [('Content-Length', '6')])\n    return [b'hello\\n']\n";

#[test]
fn gunicorn_with_workers() {
    if needs(&["gunicorn"]) {
        both(|server, address| {
            server.setup.home().write("wsgi.py", WSGI);
            let (home, at) = (text(server.setup.home().path()), address.to_string());
            // A worker that is told to stop before it listens for that is waited for by gunicorn, 30 s by default.
            let words =
                ["gunicorn", "--workers", "2", "--graceful-timeout", "1", "--bind", &at, "--chdir", &home, "wsgi:app"];
            server.serves(&words);
        });
    }
}

const ASGI: &str = "async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'6')]})
    await send({'type': 'http.response.body', 'body': b'hello\\n'})
";

/// It closes connections whose request has not come yet.
#[test]
fn uvicorn_with_workers() {
    if needs(&["uvicorn"]) {
        both(|server, address| {
            server.setup.home().write("asgi.py", ASGI);
            let (home, host) = (text(server.setup.home().path()), address.0.ip().to_string());
            let words =
                ["uvicorn", "--workers", "2", "--host", &host, "--port", "8080", "--app-dir", &home, "asgi:app"];
            server.drops().serves(&words);
        });
    }
}

/// Master and workers in the foreground, with everything below the folder of the run.
fn nginx_configuration(home: &Path, listen: &str) -> String {
    let home = home.display();
    format!(
        "daemon off; worker_processes 2; pid {home}/nginx.pid; error_log stderr; user root;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
            server {{ {listen} location / {{ return 200 'hello'; }} }}
        }}"
    )
}

#[test]
fn nginx_master_and_workers() {
    if needs(&["nginx"]) {
        both(|server, address| {
            let configuration = nginx_configuration(server.setup.home().path(), &format!("listen {address};"));
            let file = text(&server.setup.home().write("nginx.conf", &configuration));
            server.stopped_by("QUIT").serves(&["nginx", "-c", &file]);
        });
    }
}

/// Each worker binds a socket of its own beside the first: SO_REUSEPORT.
#[test]
fn nginx_with_a_socket_for_each_worker() {
    if needs(&["nginx"]) {
        let (setup, address) = (launcher(), Address::new());
        let configuration = nginx_configuration(setup.home().path(), &format!("listen {address} reuseport;"));
        let file = text(&setup.home().write("nginx.conf", &configuration));
        Server::new(setup, Mode::Adopt, address.0).closes().serves(&["nginx", "-c", &file]);
    }
}

#[test]
fn redis() {
    if needs(&["redis-server"]) {
        both(|server, address| {
            let host = address.0.ip().to_string();
            let words = ["redis-server", "--bind", &host, "--port", "8080", "--save", "", "--protected-mode", "no"];
            Server { protocol: REDIS, ..server }.drops().serves(&words);
        });
    }
}

/// It would answer first what it has begun on USR1, which is lost on a master that has only just forked its worker.
#[test]
fn haproxy_master_and_worker() {
    if needs(&["haproxy"]) {
        both(|server, address| {
            let configuration = format!(
                "defaults\n mode http\n timeout client 30s\n timeout connect 5s\n timeout server 30s\nfrontend f\n \
                 bind {address}\n http-request return status 200 content-type text/plain string hello\n"
            );
            let file = text(&server.setup.home().write("haproxy.cfg", &configuration));
            server.drops().serves(&["haproxy", "-W", "-f", &file]);
        });
    }
}

const JAVA: &str = r#"
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Server {
    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(arguments[0], 8080), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, 6);
            exchange.getResponseBody().write("hello\n".getBytes());
            exchange.close();
        });
        server.start();
    }
}
"#;

/// It binds `::ffff:127.0.0.1` on an IPv6 socket, which is another address than 127.0.0.1.
#[test]
fn java_http_server() {
    if needs(&["javac", "java"]) {
        both(|server, address| {
            let source = server.setup.home().write("Server.java", JAVA);
            assert!(Command::new("javac").arg(&source).status().unwrap().success());
            let IpAddr::V4(host) = address.0.ip() else { panic!() };
            let mapped = SocketAddr::new(host.to_ipv6_mapped().into(), 8080);
            let (home, host) = (text(server.setup.home().path()), host.to_string());
            Server { address: mapped, ..server }.drops().serves(&[
                "java",
                "-Xshare:auto",
                "-cp",
                &home,
                "Server",
                &host,
            ]);
        });
    }
}

const RUBY: &str = "require 'socket'
server = TCPServer.new(ARGV[0], 8080)
loop do
  client = server.accept
  until client.gets == \"\\r\\n\" do end
  client.write \"HTTP/1.0 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nhello\\n\"
  client.close
end
";

#[test]
fn ruby_tcp_server() {
    if needs(&["ruby"]) {
        both(|server, address| {
            let program = text(&server.setup.home().write("server.rb", RUBY));
            server.drops().serves(&["ruby", &program, &address.0.ip().to_string()]);
        });
    }
}

/// It closes connections whose request has not come yet.
#[test]
fn puma() {
    if needs(&["puma"]) {
        both(|server, address| {
            let app = "run ->(env) { [200, { 'content-type' => 'text/plain' }, ['hello']] }\n";
            let file = text(&server.setup.home().write("config.ru", app));
            let bind = format!("tcp://{address}");
            server.drops().serves(&["puma", "--no-config", "-b", &bind, &file]);
        });
    }
}

const WEBRICK: &str = "require 'webrick'
server = WEBrick::HTTPServer.new(BindAddress: ARGV[0], Port: 8080, AccessLog: [])
server.mount_proc('/') { |request, response| response.body = 'hello' }
trap('TERM') { server.shutdown }
server.start
";

/// It shuts its listener down when it stops, for all who have it: it is opened again for the next one.
#[test]
fn webrick() {
    if needs(&["ruby"]) {
        if !Command::new("ruby").args(["-e", "require 'webrick'"]).output().unwrap().status.success() {
            assert!(std::env::var("CI").is_err(), "needs ruby-webrick, which tests/setup installs");
            return println!("skipped: needs ruby-webrick, which tests/setup installs");
        }
        both(|server, address| {
            let program = text(&server.setup.home().write("server.rb", WEBRICK));
            server.closes().serves(&["ruby", &program, &address.0.ip().to_string()]);
        });
        let (setup, address) = (launcher(), Address::new());
        let program = text(&setup.home().write("server.rb", WEBRICK));
        let flags = super::serving::flags("server", &format!("{address},adopt"));
        let mut run = setup.flags(flags).command(["ruby", &program, &address.0.ip().to_string()]);
        run.is_ready("server");
        let service = run.below()[1];
        // SAFETY: kill(2) takes no pointers.
        assert_eq!(unsafe { libc::kill(service, libc::SIGTERM) }, 0);
        run.err("server is starting");
        run.is_ready("server");
        super::serving::ask(&mut run, address.0, HTTP);
        run.signal(Signal::SIGTERM);
        run.ends_with(0);
    }
}

/// Its graceful shutdown closes connections whose request has not come yet, as hyper does.
#[test]
fn axum() {
    let program = child().with_file_name("serving");
    assert!(program.exists(), "`cargo build --examples` makes {}", program.display());
    both(|server, address| {
        server.drops().serves(&[&text(&program), &address.to_string()]);
    });
}
