import assert from "node:assert/strict";
import { chmod, mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { DoctorFinding } from "../../src/api/doctor-report.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import type { RouteConfig, ShareConfig } from "../../src/config/snapshot.ts";
import { parsePs } from "../../src/daemon/compose/monitor-processes-darwin.ts";
import { isMonitor } from "../../src/daemon/compose/process-arguments.ts";
import type { DoctorContext } from "../../src/doctor/context.ts";
import { examineClock } from "../../src/doctor/doctor.ts";
import { examineGateway } from "../../src/doctor/gateway.ts";
import { examineHome } from "../../src/doctor/home.ts";
import { examineHosts, type HostCheck } from "../../src/doctor/hosts.ts";
import { examineMountRoot } from "../../src/doctor/macos-mounts.ts";
import { examineReadAhead } from "../../src/doctor/read-ahead.ts";
import { withoutNames } from "../../src/doctor/report-text.ts";
import type { ProbeResult } from "../../src/network/probe/probe-result.ts";
import { parseIpRoute, parseRouteGet } from "../../src/network/routes/route-lookup.ts";
import { Contact } from "../../src/shares/program/sign-in.ts";
import { gatewayReport } from "../api/sample-gateway.ts";
import { accepted } from "../config/support.ts";
import { shareSpec } from "../shares/share-spec.ts";
import { freePort } from "../support/free-port.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { pluck } from "../support/pluck.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { mountTmpfs } from "../support/tiny-disk.ts";

const codes = (found: readonly DoctorFinding[]): string[] =>
  found.filter(({ severity }) => severity !== "ok").map(({ code }) => code);

const CONTACT = await Contact.check(undefined, { spec: shareSpec(), policy: {}, memory: {} }, 0);

function look(
  route: "tb" | "fallback",
  more: {
    readonly address?: string;
    readonly host?: string;
    readonly interfaceName?: string | null;
    readonly probe?: Partial<ProbeResult>;
    readonly way?: HostCheck["lookup"];
  },
): HostCheck {
  const address = more.address ?? (route === "tb" ? "10.99.1.2" : "10.99.2.2");
  const host = more.host ?? address;
  const config: RouteConfig = { host, port: 445, interfaceName: more.interfaceName ?? null, folder: null };
  const dev = route === "tb" ? "tb0" : "eth1";
  return {
    share: "CORE",
    route,
    host,
    config,
    contact: CONTACT,
    probe: {
      verdict: "answers",
      reason: "negotiated",
      tcpAnswered: true,
      address,
      interfaceName: dev,
      serverGuid: null,
      text: `${address}:445: answered over ${dev}`,
      tookMs: 2,
      ...more.probe,
    },
    lookup: more.way === undefined ? { kind: "found", interfaceName: dev, gateway: null } : more.way,
  };
}

const SHARES = [{ name: "CORE" }] as unknown as readonly ShareConfig[];
const examined = (...looks: HostCheck[]): string[] => codes(examineHosts(looks, SHARES));

test("hosts that answer over the intended interfaces are healthy", () => {
  assert.deepEqual(examined(look("tb", {}), look("fallback", {})), []);
});

test("a route that the system does not know, or does not have, is reported only if the host answers", () => {
  const none = { kind: "none" } as const;
  assert.deepEqual(examined(look("tb", { way: none }), look("fallback", {})), ["route_missing"]);
  const off = { verdict: "gone", reason: "no_route" } as const;
  assert.deepEqual(examined(look("tb", { way: none, probe: off }), look("fallback", {})), []);
  const unknown = { kind: "unknown", why: "no ip here" } as const;
  assert.deepEqual(examined(look("tb", { way: unknown }), look("fallback", { way: unknown })), []);
});

test("a route over an unintended interface is named, however the intended one is written", () => {
  const vpn = { kind: "found", interfaceName: "utun3", gateway: "10.8.0.1" } as const;
  const found = examineHosts([look("tb", { way: vpn }), look("fallback", {})], SHARES);
  assert.deepEqual(codes(found), ["route_wrong_interface"]);
  const wrong = found.find(({ code }) => code === "route_wrong_interface");
  assert.match(wrong?.text ?? "", /10\.99\.1\.2.*over utun3, through 10\.8\.0\.1, not over tb0/);
  assert.equal(wrong?.severity, "error");
  const configured = look("fallback", { interfaceName: "en0" });
  assert.deepEqual(examined(look("tb", {}), configured), ["route_wrong_interface"]);
  const gateway = look("tb", {
    probe: { interfaceName: null },
    way: { kind: "found", interfaceName: "eth0", gateway: "192.168.1.1" },
  });
  assert.deepEqual(examined(gateway, look("fallback", {})), ["route_wrong_interface"]);
  const router = look("fallback", {
    probe: { interfaceName: null },
    way: { kind: "found", interfaceName: "eth0", gateway: "192.168.1.1" },
  });
  assert.deepEqual(examined(look("tb", {}), router), [], "a fallback may well be behind a router");
});

test("two hosts that are reached over one interface are reported", () => {
  const shared = look("fallback", {
    probe: { interfaceName: "tb0" },
    way: { kind: "found", interfaceName: "tb0", gateway: null },
  });
  assert.deepEqual(examined(look("tb", {}), shared), ["routes_share_interface"]);
});

test("a server on this machine itself is never on a wrong interface", () => {
  const lo = { kind: "found", interfaceName: "lo", gateway: null } as const;
  const own = (route: "tb" | "fallback", address: string) =>
    look(route, { address, way: lo, probe: { interfaceName: "lo", address } });
  assert.deepEqual(examined(own("tb", "127.0.0.2"), own("fallback", "127.0.0.3")), []);
});

test("routes are read as ip and route print them", () => {
  assert.deepEqual(
    parseIpRoute(
      '[{"dst":"10.0.0.2","gateway":"192.168.1.1","dev":"eth0","prefsrc":"192.168.1.5","flags":[],"uid":0}]',
    ),
    { kind: "found", interfaceName: "eth0", gateway: "192.168.1.1" },
  );
  assert.deepEqual(parseIpRoute('[{"dst":"10.99.1.2","dev":"tb0","prefsrc":"10.99.1.1"}]'), {
    kind: "found",
    interfaceName: "tb0",
    gateway: null,
  });
  for (const text of ["", "[]", "{", "[null]", '[{"dev":1}]'])
    assert.equal(parseIpRoute(text).kind, "unknown");
  const direct = `   route to: 10.0.10.2
destination: 10.0.10.0
       mask: 255.255.255.0
  interface: bridge0
      flags: <UP,DONE,CLONING,STATIC>
 recvpipe  sendpipe  ssthresh  rtt,msec    rttvar  hopcount      mtu     expire
       0         0         0         0         0         0      1500   -9999
`;
  assert.deepEqual(parseRouteGet(direct), { kind: "found", interfaceName: "bridge0", gateway: null });
  const far = `   route to: 10.99.1.2
destination: default
       mask: default
    gateway: 192.168.1.1
  interface: en0
      flags: <UP,GATEWAY,DONE,STATIC,PRCLONING,GLOBAL>
`;
  assert.deepEqual(parseRouteGet(far), { kind: "found", interfaceName: "en0", gateway: "192.168.1.1" });
  assert.equal(parseRouteGet("route: writing to routing socket: not in table").kind, "unknown");
});

test("a monitor is recognized by its arguments, and nothing else is one", () => {
  const main = "/opt/m/dist/0123456789abcdef/main.js";
  assert.ok(isMonitor(["/usr/bin/node", main, "monitor"]));
  assert.ok(
    isMonitor([
      "node",
      "--flag",
      "/w/src/cli/main.ts",
      "--config",
      "monitor.toml",
      "monitor",
      "--interval",
      "1",
    ]),
  );
  assert.ok(!isMonitor(["node", main, "--config", "monitor", "status"]));
  assert.ok(!isMonitor(["node", main, "status", "monitor"]));
  assert.ok(!isMonitor(["vim", "monitor"]));
  assert.ok(!isMonitor([]));
  assert.deepEqual(parsePs(`  12 node ${main} monitor\n 13 node ${main} status\nnothing\n`), [
    { pid: 12, parent: null, home: null },
  ]);
});

test("a home that others can enter, and a file in it that they can read, are reported", async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  assert.deepEqual(codes(await examineHome(home)), ["home_absent"]);
  await mkdir(home, { mode: 0o700 });
  assert.deepEqual(codes(await examineHome(home)), []);
  await writeFile(join(home, "secrets.json"), '{"version": 1, "secrets": {}}', { mode: 0o644 });
  await writeFile(join(home, "numbers.log"), "{}", { mode: 0o644 });
  await chmod(home, 0o755);
  const found = await examineHome(home);
  assert.deepEqual(codes(found), ["home_open", "file_open", "file_open"]);
  assert.deepEqual(
    pluck(
      found.filter(({ hint }) => hint !== null),
      "hint",
    ),
    [`chmod 700 ${home}`, ...["secrets.json", "numbers.log"].map((name) => `chmod 600 ${join(home, name)}`)],
  );
  await writeFile(join(folder, "file"), "");
  const [denied, ...more] = await examineHome(join(folder, "file", "home"));
  assert.deepEqual([denied?.code, more], ["home_denied", []]);
  assert.match(denied?.hint ?? "", /is not a folder/);
  await symlink("loop", join(folder, "loop"));
  assert.deepEqual(codes(await examineHome(join(folder, "loop"))), ["home_denied"]);
});

test("a disk with little space is reported, one without space for a further file is full, and one that does not count files is not", async (t) => {
  for (const [options, expected] of [
    ["size=100m,nr_inodes=0", []],
    ["size=100m,nr_inodes=1", ["disk_full"]],
    ["size=60m", ["disk_low"]],
    ["size=64k", ["disk_full"]],
  ] as const) {
    const disk = await mountTmpfs(t, `mode=0700,${options}`);
    if (disk === null) return;
    assert.deepEqual(codes(await examineHome(disk)), expected, options);
  }
});

test("unreadable secrets are the cause to name, not missing secrets", async (t) => {
  const home = await temporaryFolder(t);
  await chmod(home, 0o700);
  await writeFile(join(home, "secrets.json"), "{broken hidden word", { mode: 0o600 });
  const [cause] = (await examineHome(home)).filter(({ code }) => code === "secrets_unreadable");
  assert.equal(cause?.severity, "error");
  assert.match(cause.text, /secrets\.json cannot be understood/);
  assert.match(cause.hint ?? "", /move it away/);
  assert.doesNotMatch(JSON.stringify(cause), /hidden word/);
});

test("a clock that went back is recognized by the dates of written files", async (t) => {
  const home = await temporaryFolder(t);
  const clock = createManualClock(Date.UTC(2026, 10, 1));
  assert.deepEqual(codes([await examineClock(home, clock)]), []);
  await writeFile(join(home, "state.json"), "{}");
  await utimes(join(home, "state.json"), new Date("2026-11-02"), new Date("2026-11-02"));
  assert.deepEqual(codes([await examineClock(home, clock)]), ["clock_behind"]);
  await utimes(join(home, "state.json"), new Date(clock.wallMs()), new Date(clock.wallMs() + 60_000));
  assert.deepEqual(codes([await examineClock(home, clock)]), [], "file times may be a little ahead");
  assert.deepEqual(codes([await examineClock(home, createManualClock(0))]), ["clock_wrong"]);
});

const REPORTED = `incoming_auth = { type = "local", token = "\${TOKEN}" }
[[shares]]
name = "CORE"
thunderbolt_host = "10.10.10.1"
fallback_host = "nas.example"
username = "annabel"
password = "secret:nas"
[[shares]]
name = "MORE"
fallback_host = "nas.example"
username = "at"
password = "secret:nas"
[backends.files]
command = "files"
[backends.files.env]
PLAIN = "annabel's"
TOKEN = "\${TOKEN}"
[backends.other]
command = "other"
env = { KEY = "literal word" }
[[backends.far.routes]]
url = "http://192.168.1.20/mcp"
[[backends.far.routes]]
url = "https://far.example/mcp"
[telemetry]
endpoint = "https://otlp.example"
`;

test("a report without names still distinguishes hosts and users", async () => {
  const place = { home: "/h/m", userHome: "/home/annabel", userName: "annabel", defaultMountRoot: "/h/v" };
  const loaded = await parseConfig(Buffer.from(REPORTED), "/h/m/config.toml", place);
  assert.ok(loaded.ok);
  const text = `annabel at nas.example (192.168.1.20:445: refused), NAS.EXAMPLE again, 192.168.1.20, 192.168.1.21
/home/annabel/Shares fe80::1%en0 2001:db8:0:0:0:0:0:1 ::1 127.0.0.1 12:35:54 at 2026-11-20T12:35:54.986Z aa:bb:cc:dd:ee:ff
annabels is another word; version 1.60.1-DEV; far.example is refused, and so is otlp.example; type = "local"`;
  const clean = withoutNames(text, loaded.snapshot.config, place.userHome);
  assert.doesNotMatch(clean, /annabel\b|(?:nas|far|otlp)\.example|192\.168|fe80|2001:db8|aa:bb/i);
  const [, host, address, hostAgain, addressAgain, other] =
    /at (host-\d) \((address-\d+):445: refused\), (host-\d) again, (address-\d+), (address-\d+)/.exec(
      clean,
    ) ?? [];
  assert.deepEqual([hostAgain, addressAgain], [host, address], clean);
  assert.notEqual(other, address);
  for (const kept of [
    "~/Shares",
    "::1",
    "127.0.0.1",
    "12:35:54 at 2026-11-20T12:35:54.986Z",
    "annabels is",
    "1.60.1-DEV",
    'type = "local"',
  ])
    assert.ok(clean.includes(kept), `${kept}: ${clean}`);
});

const share = (driver: "netfs" | "fs", shareName: string) => ({ driver, shareName });
const told = (...args: Parameters<typeof examineMountRoot>): readonly string[] =>
  examineMountRoot(...args).map(({ severity, code }) => `${severity} ${code}`);

test("on a Mac a mount_root outside /Volumes causes a warning, as the system may ask about each mount", () => {
  const [found] = examineMountRoot("/Users/ann/mounts", [share("netfs", "core"), share("netfs", "media")]);
  assert.deepEqual([found?.severity, found?.code], ["warning", "mount_root_outside_volumes"]);
  assert.match(found?.text ?? "", /\/Users\/ann\/mounts.*macOS 15/);
  assert.match(found?.hint ?? "", /leave mount_root out/);
});

test("where two shares have one name on their servers it is needed, and only mentioned", () => {
  assert.deepEqual(told("/Users/ann/mounts", [share("netfs", "core"), share("netfs", "core")]), [
    "info mount_root_outside_volumes",
  ]);
});

test("in /Volumes, without a configuration, and where the system does not mount, there is no warning", () => {
  assert.deepEqual(told("/Volumes", [share("netfs", "core")]), []);
  assert.deepEqual([...told(null, []), ...told("/mnt", [])], []);
  assert.deepEqual(told("/home/ann/mounts", [share("fs", "core"), share("fs", "core")]), []);
});

const LOCAL_USER = '[incoming_auth]\ntype = "local"\ntoken = "secret:t"\n';

async function ofGateway(text: string, daemon: unknown = null, path = ""): Promise<DoctorFinding[]> {
  const snapshot = await accepted(`${LOCAL_USER}${text}`);
  const { signal } = new AbortController();
  const values = { "secret:t": "token" };
  // What else an examination may look at is not looked at.
  const rest = { snapshot, daemon, signal, values, environment: { PATH: path } };
  return examineGateway(rest as unknown as DoctorContext);
}

async function ofPort(host: string, port: number, daemon: unknown = null) {
  const text = `[server]\nhost = "${host}"\nport = ${port}\n[backends.web]\nurl = "https://example.org/mcp"\n`;
  return (await ofGateway(text, daemon)).find((one) => one.text.includes(String(port)));
}

test("E5 the gateway's own port is not taken, and another daemon's address is not its own", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const servingAt = (port: number) => ({
    call: async () => gatewayReport([], { gateway: { url: `http://127.0.0.1:${port}/mcp`, conditions: [] } }),
  });
  const own = await ofPort("127.0.0.1", address.port, servingAt(address.port));
  assert.match(own?.text ?? "", /^the daemon serves http/);
  assert.equal((await ofPort("127.0.0.1", address.port, servingAt(1)))?.code, "port_taken");
});

test("E2 a management API that others on the network reach without TLS is reported, and a backend's sandbox and folder", async (t) => {
  const folder = await temporaryFolder(t);
  const port = await freePort();
  await mkdir(join(folder, "bin"));
  await writeFile(join(folder, "bin/server"), "", { mode: 0o755 });
  const backend = (more: string) =>
    `[server]\nport = ${port}\n[backends.a]\ncommand = "./server"\ncwd = "${folder}/bin"\n${more}`;
  const told = async (text: string) => codes(await ofGateway(text));
  assert.deepEqual(await told(backend("")), []);
  assert.deepEqual(await told(backend('[backends.a.sandbox]\nkind = "bubblewrap"\n')), ["backend_sandbox"]);
  const misplaced = backend("").replace(`bin"`, `bin/server"`);
  assert.deepEqual(await told(misplaced), ["backend_folder", "backend_program"]);
  const server = (host: string) =>
    `[server]\nhost = "${host}"\nport = ${port}\n[server.management]\nenabled = true\n`;
  assert.deepEqual(await told(server("0.0.0.0")), ["management_open"]);
  assert.deepEqual(await told(server("127.0.0.1")), []);
  assert.deepEqual(await told(server("0.0.0.0").replace("true", "false")), []);
});

test("E5 an address of another machine is reported as that, and not as a port for root", async () => {
  const found = await ofPort("192.0.2.1", 8_765);
  assert.match(found?.text ?? "", /cannot listen at 192\.0\.2\.1:8765: EADDRNOTAVAIL/);
  assert.match(found?.hint ?? "", /it is an address of this machine/);
});

test("the doctor reports how much the kernel reads ahead on a mount, and whether its program sets it", async (t) => {
  const devices = await temporaryFolder(t);
  await mkdir(join(devices, "0:57"));
  await writeFile(join(devices, "0:57/read_ahead_kb"), "1024\n", { mode: 0o444 });
  const options = [`user_id=${process.getuid?.()}`];
  const mounts = [
    { type: "fuse.mountaineer-fs", path: "/mnt/CORE", options, deviceMinor: 57 },
    { type: "fuse.mountaineer-fs", path: "/mnt/4", options: ["user_id=4"], deviceMinor: 57 },
    { type: "fuse.mountaineer-fs", path: "/home2/CORE", options, deviceMinor: 57 },
    { type: "fuse.mountaineer-fs", path: "/mnt/ENDED", options, deviceMinor: 58 },
    { type: "fuse.sshfs", path: "/mnt/CORE", options, deviceMinor: 57 },
  ];
  const [found, ...others] = await examineReadAhead(mounts, "/mnt", devices);
  // Root may write it in any case.
  const [code, more] =
    process.getuid?.() === 0 ? ["read_ahead", ""] : ["read_ahead_fixed", ", whatever its route"];
  assert.deepEqual(
    [found?.code, found?.text, others.length],
    [code, `the kernel reads 1024 KiB ahead on /mnt/CORE${more}`, 0],
  );
});
