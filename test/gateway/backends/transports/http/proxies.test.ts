// Servers that are reached through a web proxy: what goes which way, and what is said when it does not go.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect as connectTcp, createServer as createTcpServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { proxyFor } from "../../../../../src/gateway/backends/transports/http/proxy.ts";
import { eventually } from "../../../../support/eventually.ts";
import { freePort } from "../../../../support/free-port.ts";
import { createManualClock } from "../../../../support/manual-clock.ts";
import { onLoopback } from "../../../../support/on-loopback.ts";
import { temporaryFolder } from "../../../../support/temporary-folder.ts";
import {
  nameProxies,
  startTlsFront,
  startWebProxy,
  trustedCertificate,
} from "../../../../support/web-proxy.ts";
import { programMissing } from "../../../../sync/programs.ts";
import {
  echoing,
  type HttpServerOptions,
  openEvents,
  startHttpServer,
  type Take,
} from "../../programs/http-server.ts";
import type { RecordedLink } from "../link-recorder.ts";
import { connect, result, takeEcho } from "./bench.ts";

const NAME = "mcp.example.test";
const PLAIN = `http://${NAME}/mcp`;
const SECURE = `https://${NAME}/mcp`;

/** An echo server that is reached as `NAME` through the proxy alone, by http and by https. */
async function startEcho(
  t: TestContext,
  { take, ...more }: HttpServerOptions & { readonly take?: Take } = {},
) {
  const echo = await startHttpServer(t, echoing("json", take), more);
  const port = Number(new URL(echo.url).port);
  const certificate = trustedCertificate(t, NAME, "127.0.0.1");
  const secure = await startTlsFront(t, certificate, port);
  return { echo, certificate, leads: { [`${NAME}:80`]: port, [`${NAME}:443`]: secure } };
}

/** Why a first request fails; `pass` is called until it does. */
async function failureOf(recorded: RecordedLink, pass: () => unknown = () => {}) {
  recorded.link.send({ jsonrpc: "2.0", id: 9, method: "ping" });
  await eventually(async () => {
    await pass();
    return recorded.failed.has(9);
  });
  const failure = recorded.failed.get(9);
  assert.ok(failure !== undefined);
  assert.doesNotMatch(JSON.stringify(failure), /s3cret/);
  return failure;
}

test("D9 an http server is reached through its proxy in absolute form, and never sees the proxy's headers", async (t) => {
  const { echo, leads, certificate } = await startEcho(t);
  for (const isSecure of [false, true]) {
    const user = "ann:s3 cret";
    const proxy = await startWebProxy(t, { leads, user, ...(isSecure && { certificate }) });
    nameProxies(t, { HTTP_PROXY: `${isSecure ? "https" : "http"}://ann:s3%20cret@${proxy.name}` });
    const recorded = connect(t, PLAIN);
    await recorded.initialize();
    for (let call = 0; call < 3; call++)
      assert.deepEqual(await recorded.ask("echo"), { method: "echo", params: {} });
    assert.ok(proxy.asked.length >= 3);
    for (const one of proxy.asked) assert.match(one, /^(?:POST|GET) http:\/\/mcp\.example\.test\/mcp$/);
  }
  assert.equal(
    echo.headers.every(({ host }) => host === NAME),
    true,
  );
});

test("D9 an https server is reached through one tunnel, which is kept for it and verifies its target", async (t) => {
  const { leads, certificate } = await startEcho(t);
  for (const isSecure of [false, true]) {
    const proxy = await startWebProxy(t, { leads, user: "ann:s3cret", ...(isSecure && { certificate }) });
    nameProxies(t, { HTTPS_PROXY: `${isSecure ? "https" : "http"}://ann:s3cret@${proxy.name}` });
    const recorded = connect(t, SECURE);
    await recorded.initialize();
    await recorded.ask("echo");
    const tunnels = proxy.asked.length;
    for (let call = 0; call < 3; call++) await recorded.ask("echo");
    assert.equal(proxy.asked.length, tunnels);
    assert.deepEqual(new Set(proxy.asked), new Set([`CONNECT ${NAME}:443`]));
    const wrong = await startWebProxy(t, {
      leads: { "other.example.test:443": leads[`${NAME}:443`] ?? 0 },
      ...(isSecure && { certificate }),
    });
    nameProxies(t, { HTTPS_PROXY: `${isSecure ? "https" : "http"}://${wrong.name}` });
    const other = await failureOf(connect(t, "https://other.example.test/mcp"));
    assert.match(other.message, /^cannot reach https:\/\/other.+ through the proxy .*another name/);
  }
});

test("D9 a proxy's faults are reported as the proxy's, with the fix", async (t) => {
  const { leads } = await startEcho(t);
  const through = (name: string): string => `http://ann:s3cret@${name}`;
  const answering = async (text: string) => {
    const proxy = await startWebProxy(t, { leads, onConnect: (socket) => void socket.end(text) });
    return through(proxy.name);
  };
  const gone = await startWebProxy(t, { leads });
  gone.stop();
  const open = (await startWebProxy(t, { leads })).name;
  const wanting = (await startWebProxy(t, { leads, user: "ann:other" })).name;
  const elsewhere = (await startWebProxy(t, { leads: {} })).name;
  const names = "check HTTPS_PROXY in the daemon's environment, or name the server's host in NO_PROXY there";
  const credentials = /^put them into HTTPS_PROXY as http:..USER:PASSWORD@HOST:PORT; only Basic/;
  for (const [url, HTTPS_PROXY, at, message, hint] of [
    [
      SECURE,
      through(gone.name),
      gone.name,
      /^cannot reach the proxy X on the way to https:..mcp.example.test: nothing listens there$/,
      names,
    ],
    [SECURE, wanting, wanting, /^the proxy X asks for a user and a password \(HTTP 407\)$/, credentials],
    [
      SECURE,
      through(wanting),
      wanting,
      /^the proxy X refuses the user and password that it was given \(HTTP 407\)$/,
      "correct them in HTTPS_PROXY",
    ],
    [
      SECURE,
      through(elsewhere),
      elsewhere,
      /^the proxy X cannot connect to mcp.example.test:443 \(HTTP 502\)$/,
      /^check that the server runs/,
    ],
    [
      SECURE,
      await answering("HTTP/1.1 403 No\r\n\r\n"),
      "",
      /^the proxy X refuses to connect to mcp.example.test:443 \(HTTP 403\)$/,
      /^ask who runs the proxy/,
    ],
    [
      SECURE,
      await answering("HTTP/1.0 401 No\r\n\r\n"),
      "",
      /^the proxy X refuses the user and password that it was given \(HTTP 401\)$/,
      "correct them in HTTPS_PROXY",
    ],
    [
      SECURE,
      await answering(""),
      "",
      /^the proxy X does not connect to https:..mcp.example.test: it ended the connection at once$/,
      names,
    ],
    [
      SECURE,
      await answering("SSH-2.0-OpenSSH_9.2\r\n"),
      "",
      /^the proxy X does not connect to https:..mcp.example.test: it answers, but not with HTTP$/,
      names,
    ],
    [
      SECURE,
      `https://${open}`,
      open,
      /^cannot reach the proxy X on the way to https:..mcp.example.test: .*speaks no TLS/,
      names,
    ],
    [
      SECURE,
      "socks5://ann:s3cret@127.0.0.1:1080",
      "",
      /^the proxy in HTTPS_PROXY is not an http:.. or https:.. address$/,
      /NO_PROXY/,
    ],
    [
      PLAIN,
      wanting,
      wanting,
      /^the proxy X asks for a user and a password \(HTTP 407\)$/,
      /^put them into HTTP_PROXY/,
    ],
    [
      PLAIN,
      through(elsewhere),
      elsewhere,
      /^http:..mcp.example.test through the proxy X answered HTTP 502$/,
      null,
    ],
    [
      PLAIN,
      through(gone.name),
      gone.name,
      /^cannot reach the proxy X on the way to http:..mcp.example.test: nothing/,
      /^check HTTP_PROXY/,
    ],
  ] as const) {
    nameProxies(t, { [url === PLAIN ? "HTTP_PROXY" : "HTTPS_PROXY"]: HTTPS_PROXY });
    const recorded = connect(t, url);
    const failure = HTTPS_PROXY.startsWith("socks5")
      ? await recorded.untilClosed()
      : await failureOf(recorded);
    const name = at === "" ? HTTPS_PROXY.replace(/.*@/, "") : at;
    const said = failure?.message.replaceAll(name, "X") ?? "";
    assert.match(said, message);
    if (hint === null) assert.equal(failure?.hint, null, said);
    else if (typeof hint === "string") assert.equal(failure?.hint, hint, said);
    else assert.match(failure?.hint ?? "", hint, said);
    assert.equal(failure?.isUnreachable, said.includes("nothing listens") ? true : undefined);
  }
});

test("D9 a proxy that is silent, or leads to a silent server, is waited for 5 s and named", async (t) => {
  const silent: Socket[] = [];
  const hole = createTcpServer((socket) => void silent.push(socket.on("error", () => {})));
  const port = await onLoopback(t, hole);
  t.after(() => silent.map((socket) => socket.destroy()));
  const { name } = await startWebProxy(t, { leads: { [`${NAME}:443`]: port } });
  for (const [address, reached, message] of [
    [
      `http://127.0.0.1:${port}`,
      1,
      /^the proxy 127.0.0.1:\d+ does not connect to https:.*: no connection within 5 s$/,
    ],
    [
      `https://127.0.0.1:${port}`,
      2,
      /^cannot reach the proxy 127.0.0.1:\d+ on the way to https:.*: no connection within 5 s$/,
    ],
    [
      `http://${name}`,
      3,
      /^cannot reach https:..mcp.example.test through the proxy .*: no connection within 5 s$/,
    ],
  ] as const) {
    nameProxies(t, { HTTPS_PROXY: address });
    const clock = createManualClock();
    const recorded = connect(t, SECURE, { clock });
    const failure = await failureOf(recorded, async () => {
      if (silent.length === reached) await clock.advance(5_000);
    });
    assert.match(failure.message, message);
    assert.equal(failure.kind, "unreachable");
    assert.equal(failure.isUnreachable, undefined);
    assert.equal(clock.pendingTimers, 0);
  }
});

test("D9 a stream that is cut with its proxy continues through a new tunnel", async (t) => {
  let lastId: unknown;
  const { leads } = await startEcho(t, {
    take: takeEcho((response, { id }) => {
      lastId = id;
      openEvents(response).write('id: 1\nretry: 100\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n');
    }),
    onGet(request, response) {
      if (request.headers["last-event-id"] !== "1") response.writeHead(405).end();
      else openEvents(response).end(`data: ${result(lastId)}\n\n`);
    },
  });
  const proxy = await startWebProxy(t, { leads });
  nameProxies(t, { HTTPS_PROXY: proxy.name });
  const recorded = connect(t, SECURE);
  await recorded.initialize();
  const answer = recorded.ask("echo");
  await eventually(() => recorded.received.length === 2);
  const tunnels = proxy.asked.length;
  proxy.cut();
  assert.deepEqual(await answer, { late: true });
  assert.ok(proxy.asked.length > tunnels);
});

test("D9 tinyproxy relays calls and streams both ways, and names refused targets", async (t) => {
  const missing = await programMissing("tinyproxy");
  if (missing !== null) return t.skip(missing);
  const { leads } = await startEcho(t, {
    take: takeEcho((response, { id }) => {
      const before = recorded.received.length;
      openEvents(response).write('data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n');
      void eventually(() => recorded.received.length > before).then(() =>
        response.end(`data: ${result(id)}\n\n`),
      );
    }),
  });
  const behind = await startWebProxy(t, { leads });
  const port = await freePort();
  const file = join(await temporaryFolder(t), "tinyproxy.conf");
  await writeFile(
    file,
    `Port ${port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nBasicAuth ann s3cret\nConnectPort 443\n` +
      `Upstream http ${behind.name}\n`,
  );
  const program = spawn("tinyproxy", ["-d", "-c", file], { stdio: "ignore" });
  const ended = once(program, "exit");
  t.after(() => {
    program.kill();
    return ended;
  });
  const name = `127.0.0.1:${port}`;
  await eventually(async () => {
    const socket = connectTcp(port, "127.0.0.1");
    const connected = once(socket, "connect").then(() => true);
    return await connected.catch(() => false).finally(() => socket.destroy());
  });
  let recorded = connect(t, PLAIN);
  for (const url of [PLAIN, SECURE]) {
    nameProxies(t, { HTTP_PROXY: `http://ann:s3cret@${name}`, HTTPS_PROXY: `http://ann:s3cret@${name}` });
    recorded = connect(t, url);
    await recorded.initialize();
    for (let call = 0; call < 3; call++) assert.deepEqual(await recorded.ask("echo"), { late: true });
    nameProxies(t, { HTTP_PROXY: name, HTTPS_PROXY: name });
    const { message } = await failureOf(connect(t, url));
    assert.equal(message, `the proxy ${name} asks for a user and a password (HTTP 407)`);
  }
  nameProxies(t, { HTTPS_PROXY: `http://ann:other@${name}` });
  const { message, hint } = await failureOf(connect(t, SECURE));
  assert.match(message, /refuses the user and password that it was given \(HTTP 401\)$/);
  assert.equal(hint, "correct them in HTTPS_PROXY");
  nameProxies(t, { HTTPS_PROXY: `http://ann:s3cret@${name}` });
  const other = await failureOf(connect(t, `https://${NAME}:8443/mcp`));
  assert.equal(other.message, `the proxy ${name} refuses to connect to ${NAME}:8443 (HTTP 403)`);
});

const PROXIES = { HTTP_PROXY: "http://plain.example:3128", HTTPS_PROXY: "http://proxy.example:8080" };

/** The proxy's `host:port`, "direct", or the variable that cannot be used. */
function wayTo(address: string, environment: Record<string, string>): string {
  const proxy = proxyFor(new URL(address), environment);
  if (proxy === null) return "direct";
  return "unusable" in proxy ? `unusable: ${proxy.unusable}` : proxy.name;
}

test("D9 a scheme has its own proxy, and no variable applies to another scheme", () => {
  for (const [address, environment, way] of [
    ["https://mcp.example/mcp", PROXIES, "proxy.example:8080"],
    ["http://mcp.example/mcp", PROXIES, "plain.example:3128"],
    ["https://mcp.example/mcp", { HTTP_PROXY: "http://plain.example" }, "direct"],
    ["http://mcp.example/mcp", { HTTPS_PROXY: "http://proxy.example" }, "direct"],
    ["https://mcp.example/mcp", { ...PROXIES, https_proxy: "http://small.example" }, "small.example:80"],
    ["https://mcp.example/mcp", { ...PROXIES, https_proxy: "" }, "proxy.example:8080"],
    ["https://mcp.example/mcp", { HTTPS_PROXY: " proxy.example:3128 " }, "proxy.example:3128"],
    ["https://mcp.example/mcp", { HTTPS_PROXY: "https://proxy.example" }, "proxy.example:443"],
    ["https://mcp.example/mcp", { HTTPS_PROXY: "http://[2001:db8::5]:3128" }, "[2001:db8::5]:3128"],
    ["https://mcp.example/mcp", { HTTPS_PROXY: "socks5://proxy.example" }, "unusable: HTTPS_PROXY"],
    ["https://mcp.example/mcp", { https_proxy: "http://" }, "unusable: https_proxy"],
    ["https://mcp.example/mcp", { HTTPS_PROXY: "http://u:%ff@proxy.example" }, "unusable: HTTPS_PROXY"],
    ["https://mcp.example/mcp", { HTTPS_PROXY: "socks5://p", NO_PROXY: "*" }, "direct"],
  ] as const)
    assert.equal(wayTo(address, environment), way, `${address} ${JSON.stringify(environment)}`);
});

/** As servers print where they listen, and names that mean this machine (RFC 6761). */
const PRINTED = ["0.0.0.0", "[::]", "app.localhost", "app.localhost."];

test("D9 this machine is never reached through a proxy", () => {
  for (const host of [
    "localhost",
    "127.0.0.1",
    "127.3.2.1",
    "[::1]",
    "LOCALHOST.",
    "[::ffff:127.0.0.1]",
    ...PRINTED,
  ])
    assert.equal(wayTo(`http://${host}:8080/mcp`, PROXIES), "direct", host);
});

test("D9 NO_PROXY names hosts, their subdomains, addresses, blocks and ports", () => {
  for (const [host, list, isDirect] of [
    ["mcp.example", "*", true],
    ["mcp.example", "other.example, *", true],
    ["mcp.example", "mcp.example", true],
    ["MCP.example", "mcp.EXAMPLE", true],
    ["mcp.example.", "mcp.example", true],
    ["a.mcp.example", "mcp.example", true],
    ["a.mcp.example", ".mcp.example", true],
    ["mcp.example", ".mcp.example", true],
    ["a.mcp.example", "*.mcp.example", true],
    ["notmcp.example", "mcp.example", false],
    ["example", "mcp.example", false],
    ["mcp.example", "one.example two.example\tmcp.example", true],
    ["mcp.example", "mcp.example:443", true],
    ["mcp.example:8443", "mcp.example:443", false],
    ["mcp.example:8443", "mcp.example:8443", true],
    ["10.1.2.3", "10.0.0.0/8", true],
    ["11.1.2.3", "10.0.0.0/8", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3:8443", "10.1.2.3:443", false],
    ["10.1.2.30", "10.1.2.3", false],
    ["10.1.2.3", "10.0.0.0/99,10.0.0.0/x", false],
    ["mcp.example", "0.0.0.0/0", false],
    ["[2001:db8::5]", "2001:db8::5", true],
    ["[2001:db8::5]", "[2001:db8::5]:443", true],
    ["[2001:db8::5]", "2001:0db8::/32", true],
    ["[2001:db9::5]", "2001:db8::/32", false],
    ["mcp.example", ",, ,.", false],
  ] as const)
    assert.equal(
      wayTo(`https://${host}/mcp`, { ...PROXIES, NO_PROXY: list }) === "direct",
      isDirect,
      `${host} ${list}`,
    );
  assert.equal(
    wayTo("https://mcp.example/", { ...PROXIES, NO_PROXY: "x", no_proxy: "mcp.example" }),
    "direct",
  );
});
