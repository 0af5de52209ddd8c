import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayLines } from "../../../src/tui/status/gateway-lines.ts";
import { lineColumns } from "../../../src/tui/terminal/line.ts";
import { sampleBackend, sampleGateway } from "../../api/sample-gateway.ts";
import { fc } from "../../support/properties.ts";
import { textOf, viewOf } from "../views.ts";

const failed = sampleBackend({ name: "web", phase: "Failed", reason: "spawn uvx ENOENT", tools: 0 });
const ready = sampleBackend({ in_flight: 2, tools: 1 });
const disabled = sampleBackend({ name: "old", enabled: false, phase: "Pending" });
const warned = sampleBackend({
  name: "db",
  conditions: [{ code: "x", severity: "warning", title: "DB_TOKEN is not set", hint: null, since: "" }],
});

test("C3 without a gateway there is nothing of it", () => {
  assert.deepEqual(gatewayLines(null, viewOf(80), 10), []);
});

test("C3 a line for the gateway, and one for each backend, the troubled first", () => {
  const glance = { gateway: sampleGateway(), backends: [ready, disabled, warned, failed] };
  assert.deepEqual(textOf(gatewayLines(glance, viewOf(140), 10)), [
    "Gateway http://127.0.0.1:9000/mcp  2 sessions  4 backends  14 tools  ✕ 2 not well",
    "  ✕ web                  Failed         spawn uvx ENOENT  0 tools, 3 resources, pid 812",
    "  ▲ db                   Ready          DB_TOKEN is not set  14 tools, 3 resources, pid 812",
    "  ● files                Ready          1 tool, 3 resources, 2 in flight, pid 812",
    "  ○ old                  disabled",
  ]);
});

test("C3 a backend in which a call has waited long says so, though it is Ready; a condition comes first", () => {
  const waiting_calls = { count: 1, longest_ms: 45_000 };
  const glance = {
    gateway: sampleGateway(),
    backends: [
      { ...ready, waiting_calls },
      { ...warned, waiting_calls },
    ],
  };
  assert.deepEqual(textOf(gatewayLines(glance, viewOf(140), 10)).slice(1), [
    "  ▲ db                   Ready          DB_TOKEN is not set  14 tools, 3 resources, pid 812",
    "  ● files                Ready          1 call has waited 45 s  1 tool, 3 resources, 2 in flight, pid 812",
  ]);
});

test("C3 a backend's group, and how many of its tools are withheld", () => {
  const backend = sampleBackend({ group: "search", withheld_tools: 3 });
  const [, line] = textOf(gatewayLines({ gateway: sampleGateway(), backends: [backend] }, viewOf(140), 10));
  assert.equal(
    line,
    "  ● files                Ready          14 tools, 3 resources, 3 tools withheld, group search, pid 812",
  );
});

test("G1 where calls of tools go that several machines have in common", () => {
  const place = { standing: "tb", ready: true } as const;
  const places = [
    { ...place, machine: "desktop" },
    { ...place, machine: null },
  ];
  const backend = sampleBackend({ together: { tools: 12, places } });
  const [, line] = textOf(gatewayLines({ gateway: sampleGateway(), backends: [backend] }, viewOf(140), 10));
  assert.equal(
    line,
    "  ● files                Ready          14 tools, 3 resources, pid 812, 12 tools in common: calls go to desktop (tb), here (tb)",
  );
});

const ROUTE = {
  type: "streamable-http",
  target: "http://nas/mcp",
  healthy_since: null,
  stable_at: null,
  retry_at: null,
  last_error: null,
} as const;

test("C2 the route in use, and the better one that is ready", () => {
  const backend = sampleBackend({
    routes: {
      in_use: "lan",
      held: null,
      recovery_pending: { route: "here", reason: "calls are in flight" },
      list: [
        { ...ROUTE, name: "here", in_use: false, healthy_since: "2026-01-02T11:00:00.000Z" },
        { ...ROUTE, name: "lan", in_use: true },
      ],
    },
  });
  const [, line] = textOf(gatewayLines({ gateway: sampleGateway(), backends: [backend] }, viewOf(140), 10));
  assert.equal(
    line,
    "  ▲ files                Ready over lan, here is ready calls are in flight  14 tools, 3 resources, pid 812",
  );
});

test("C3 backends without room are counted, and a gateway that cannot listen says why", () => {
  const conditions = [
    { code: "listen_failed", severity: "error", title: "port 9000 is taken", hint: null, since: "" } as const,
  ];
  const gateway = sampleGateway({ url: null, sessions: 1, conditions });
  const backends = [ready, failed, warned];
  const lines = textOf(gatewayLines({ gateway, backends }, viewOf(100, { unicode: false }), 3));
  assert.deepEqual(lines, [
    "Gateway x not listening  1 session  3 backends  14 tools  x 2 not well  ! port 9000 is taken",
    "  x web                  Failed         spawn uvx ENOENT  0 tools, 3 resources, pid 812",
    "  and 2 more",
  ]);
  assert.equal(gatewayLines({ gateway, backends }, viewOf(100), 1).length, 1);
  assert.deepEqual(gatewayLines({ gateway, backends }, viewOf(100), 0), []);
});

test("C3 hostile names and reasons are shown, not obeyed, and never wider than the terminal", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.constantFrom("\x1b[2J", "日本語".repeat(20)),
  );
  fc.assert(
    fc.property(
      text,
      text,
      fc.integer({ min: 1, max: 160 }),
      fc.integer({ min: 0, max: 6 }),
      (name, reason, width, limit) => {
        const backends = [1, 2, 3].map(() => ({ ...failed, name, reason }));
        const lines = gatewayLines(
          { gateway: sampleGateway({ url: reason }), backends },
          viewOf(width),
          limit,
        );
        assert.ok(lines.length <= limit);
        for (const line of lines) {
          assert.ok(lineColumns(line) <= width);
          // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
          assert.doesNotMatch(textOf([line])[0] ?? "", /[\x00-\x1f\x7f\u202e]/);
        }
      },
    ),
  );
});
