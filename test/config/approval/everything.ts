// A configuration with every section, for tests of approvals.

/** `MODE` stands for `[trust].approve`. */
export const EVERYTHING = `
[global]
[sync]
[notify]
[server]
host = "127.0.0.1"
[backends.files]
command = "serve"
args = ["a"]
cwd = "/srv"
[backends.files.env]
any = "1"
[backends.files.tool_overrides.one]
name = "two"
[backends.apart]
command = "serve"
cwd = "/opt"
folders = ["/srv"]
[backends.apart.sandbox]
kind = "bubblewrap"
read = ["/srv/a"]
[backends.web]
url = "https://one.example/mcp"
[backends.web.headers]
any = "1"
[backends.signed]
url = "https://two.example/mcp"
[backends.signed.auth]
client_id = "a"
[backends.many]
[[backends.many.routes]]
command = "first"
args = ["first"]
cwd = "/srv/first"
[backends.many.routes.env]
first = "1"
[[backends.many.routes]]
command = "second"
[backends.many.routes.sandbox]
kind = "bubblewrap"
read = ["/srv/second"]
[backends.far]
[[backends.far.routes]]
url = "https://three.example/mcp"
[backends.far.routes.headers]
first = "1"
[[backends.far.routes]]
url = "https://four.example/mcp"
[backends.far.routes.auth]
client_id = "far"
[backend_defaults]
[backend_defaults.env]
any = "0"
[conflict_resolution]
[incoming_auth]
type = "jwt"
issuer = "https://one.example"
jwks = "https://one.example/jwks"
token = "\${A}"
[incoming_auth.scopes]
any = ["reader"]
[incoming_auth.required_claims]
any = ["1"]
[[incoming_auth.users]]
name = "ann"
token = "\${B}"
[authorization]
[[authorization.policies]]
effect = "allow"
[audit]
[limits]
calls_per_second = 7
[trust]
approve = "MODE"
[telemetry]
endpoint = "https://one.example"
[telemetry.headers]
any = "\${H}"
[fleet]
name = "laptop"
servers = ["tls://nas.example:4222"]
credentials = "\${F}"
export = ["*"]
import = ["nas"]
[[shares]]
name = "CORE"
thunderbolt_host = "a"
fallback_host = "b"
[[shares]]
name = "LOCAL"
driver = "local"
thunderbolt_path = "/mnt/a"
fallback_path = "/mnt/b"
[[shares]]
name = "OTHER"
share_name = "other"
thunderbolt_host = "a"
fallback_host = "b"
[[shares]]
name = "THERE"
nas = "files"
[nas.files]
thunderbolt_host = "c"
fallback_host = "d"
[nas.other]
fallback_host = "e"
[[aliases]]
name = "docs"
share = "CORE"
target_subpath = "x"
path = "/home/ann/docs"
`;
