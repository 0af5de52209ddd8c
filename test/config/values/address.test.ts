// One parser reads, shows and uses an address: which addresses are refused, and that all others are shown by the host
// that is connected to.
import assert from "node:assert/strict";
import test from "node:test";
import { applyApprovals } from "../../../src/config/approval/apply-approvals.ts";
import { entrySummary, entryText } from "../../../src/config/approval/entry-text.ts";
import { shownOfKey } from "../../../src/config/edit/shown-key.ts";
import { hiddenValues, shownArguments, shownUrl } from "../../../src/config/shown-values.ts";
import { addressOf } from "../../../src/gateway/backends/transports/http/proxy.ts";
import { createHttpTarget } from "../../../src/gateway/backends/transports/http/target.ts";
import { UNSIGNED } from "../../../src/gateway/backends/transports/transport-authorization.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { GROUND } from "../approval/places.ts";
import { accepted, refused } from "../support.ts";

/** Each address with the host and port that it is shown with and connects to, or with what is found wrong with it. */
const ADDRESSES: readonly (readonly [address: string, host: string | RegExp, port?: number])[] = [
  ["http://evil.example:9\\@good.example:8/mcp", /leads to "evil.example:9"/],
  ["https://good.example\\mcp", /leads to "good.example"/],
  ["https:\\\\good.example/mcp", /leads to "good.example"/],
  ["https:/good.example/mcp", /leads to "good.example"/],
  ["https:good.example/mcp", /leads to "good.example"/],
  ["https:////good.example/mcp", /leads to "good.example"/],
  ["https:///good.example/mcp", /leads to "good.example"/],
  ["http://good.exa\tmple/mcp", /U\+0009/],
  ["http://good.example/\nmcp", /U\+000A/],
  [" http://good.example/mcp", /U\+0020/],
  ["http://good.example/mcp\u00a0", /U\+00A0/],
  ["http://good.exam\u200bple/mcp", /leads to "good.example"/],
  ["http://good\u202e.example/mcp", /a string/],
  ["http://good\u00ad.example/mcp", /leads to "good.example"/],
  ["http://ｇood.example/mcp", /leads to "good.example"/],
  ["http://good。example/mcp", /leads to "good.example"/],
  ["http://gооd.example/mcp", /leads to "xn--gd-fmca.example"/],
  ["http://bücher.example/mcp", /leads to "xn--bcher-kva.example"/],
  ["http://%67ood.example/mcp", /leads to "good.example"/],
  ["http://0x7f.1/mcp", /leads to "127.0.0.1"/],
  ["http://127.1/mcp", /leads to "127.0.0.1"/],
  ["http://2130706433/mcp", /leads to "127.0.0.1"/],
  ["http://0177.0.0.1/mcp", /leads to "127.0.0.1"/],
  ["http://127.0.0.1./mcp", /leads to "127.0.0.1"/],
  ["http://[::ffff:127.0.0.1]/mcp", /leads to "\[::ffff:7f00:1\]"/],
  ["http://[0:0:0:0:0:0:0:1]/mcp", /leads to "\[::1\]"/],
  ["http://good.example:08080/mcp", /leads to "good.example:8080"/],
  ["http://good.example:/mcp", /leads to "good.example"/],
  ["http://good.example:99999/mcp", /a string/],
  ["http://ann:hunter2@good.example/mcp", /a string/],
  ["http://@good.example/mcp", /leads to "good.example"/],
  ["https://good.example/mcp#@evil.example", /a string/],
  ["ws://good.example/mcp", /a string/],
  ["https://good.example", "good.example", 443],
  ["https://Good.Example/mcp", "good.example", 443],
  ["https://good.example:443/mcp", "good.example", 443],
  ["http://good.example:80/mcp", "good.example", 80],
  ["https://good.example./mcp", "good.example.", 443],
  ["http://good_nas:8080/mcp", "good_nas", 8080],
  ["http://localhost:3000/sse", "localhost", 3000],
  ["http://192.168.1.20:3000/mcp", "192.168.1.20", 3000],
  ["http://[::1]:8080/mcp", "::1", 8080],
  ["http://[FE80::1]/mcp", "fe80::1", 80],
  ["https://xn--bcher-kva.example/mcp", "xn--bcher-kva.example", 443],
  ["https://good.example/@evil.example/mcp", "good.example", 443],
  ["https://good.example/a\\@evil.example:8/mcp", "good.example", 443],
  ["https://good.example?x=@evil.example", "good.example", 443],
  ["https://mcp.supabase.com/mcp?project_ref=abc&features=database%2Cdocs", "mcp.supabase.com", 443],
  ["https://mcp.zapier.com/api/mcp/s/NzQ3YzY0ZjUtMmE0Zi00/mcp", "mcp.zapier.com", 443],
];

const withUrl = (url: string): string =>
  `[trust]\napprove = "all"\n[backends.a]\nurl = ${JSON.stringify(url)}\n`;
const SAFE = 'url = "http://good.example/mcp"\n';
/** As TOML is written without any escape: the column must be right, too. */
const COLUMN = 7;

test("E2 an address is refused where its parser finds a different host than is written, and otherwise shown and used as one", async () => {
  for (const [address, host, port] of ADDRESSES) {
    if (host instanceof RegExp) {
      const [mistake, ...more] = await refused(withUrl(address));
      assert.ok(mistake !== undefined && more.length === 0, address);
      assert.match(mistake.found, host, address);
      assert.deepEqual([mistake.path, mistake.line, mistake.column], ["backends.a.url", 4, COLUMN], address);
      continue;
    }
    const first = await accepted(`[trust]\napprove = "all"\n[backends.a]\n${SAFE}`);
    const { effective: running, approvals } = applyApprovals({
      file: first.config,
      running: null,
      approvals: null,
      ...GROUND,
    });
    const { config } = await accepted(withUrl(address));
    const { waiting } = applyApprovals({ file: config, running, approvals, ...GROUND });
    const connection = config.backends[0]?.connection;
    assert.ok(connection !== undefined && connection.type !== "stdio");
    const target = createHttpTarget({
      ...connection,
      headers: {},
      clock: systemClock,
      authorization: UNSIGNED,
    });
    assert.ok("origin" in target);
    assert.deepEqual(addressOf(new URL(connection.url)), { host, port }, address);
    const shown = [
      ...waiting.flatMap((entry) => [entrySummary(entry), entryText(entry.waiting)]),
      shownUrl(address, "log"),
      shownUrl(address, "report"),
      String(shownOfKey({ shown: "address" }, "url", address, null, "log")),
      target.origin,
    ];
    for (const text of shown) {
      const found = new URL(/https?:\/\/[^\s"]*/i.exec(text)?.[0] ?? "none:");
      assert.deepEqual(addressOf(found), { host, port }, `${address}: ${text}`);
    }
  }
});

test("E2 an address that a program gets is shown by the host that a parser finds, and never without host and port", () => {
  const rows: readonly (readonly [address: string, shown: string])[] = [
    ["http://evil:9\\@good:8/mcp", "http://evil:9/@good:8/mcp"],
    ["http://ann:hunter2@evil:9\\@good:8/mcp", "http://(hidden)@evil:9/@good:8/mcp"],
    ["https://ann:hunter2@good:8/mcp?api_key=x", "https://(hidden)@good:8/mcp?api_key=(hidden)"],
    ["http://0x7f.1:8/mcp", "http://127.0.0.1:8/mcp"],
    ["postgres://ann:p\\ss@Db.Local:5/x", "postgres://(hidden)@Db.Local:5/x"],
    ["postgres://ann:p/ss@db.local:5/x", "postgres://(hidden)@db.local:5/x"],
    ["postgres://ann:hunter2${secret:a}@db.local/x", "postgres://(hidden)${secret:a}@db.local/x"],
    ["--db=postgres://ann:${secret:a}@db.local/x", "--db=postgres://(hidden)${secret:a}@db.local/x"],
    [
      "http://db.local:8/${secret:a}/@x?key=${secret:b}&y=",
      "http://db.local:8/${secret:a}/@x?key=${secret:b}&y=",
    ],
    [
      "https://db.local/?api_key=${secret:a}&token=hunter2",
      "https://db.local/?api_key=${secret:a}&token=(hidden)",
    ],
  ];
  for (const [address, shown] of rows) assert.deepEqual(shownArguments("npx", [address], "log"), [shown]);
  // A part that is hidden is found in the text even if the rest is shown in another form.
  assert.deepEqual(
    hiddenValues(["http://x\\@y/?key=hunter2"], [shownUrl("http://x\\@y/?key=hunter2", "log")]),
    ["http://x\\@y/?key=hunter2"],
  );
});

test("E5 an address with a key in its query is shown with its host", () => {
  const shown = shownOfKey(
    { shown: "address" },
    "url",
    "https://good.example:8/mcp?api_key=hunter2",
    null,
    "log",
  );
  assert.equal(shown, "https://good.example:8/mcp?api_key=(hidden)");
});
