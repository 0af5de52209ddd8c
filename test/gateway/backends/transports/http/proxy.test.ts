// By which way an address is reached, as the environment says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { proxyFor } from "../../../../../src/gateway/backends/transports/http/proxy.ts";

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
