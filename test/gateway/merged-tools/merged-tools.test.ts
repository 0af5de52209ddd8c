// The way of one call, with a pool that says what a test wants it to: which place is asked, and what is asked again.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Readiness, SharedCall } from "../../../src/gateway/backends/policy/backend-pool-contract.ts";
import type { DataSource } from "../../../src/gateway/backends/policy/required-data.ts";
import { CallAbort } from "../../../src/gateway/call-signal.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { type CatalogSource, NO_LISTINGS } from "../../../src/gateway/catalog/catalog.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  type JsonObject,
  type Reply,
} from "../../../src/gateway/json-rpc.ts";
import { MergedTools } from "../../../src/gateway/merged-tools/merged-tools.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";

const DONE: Reply = { result: { content: [] } };
const LOST = errorReply(BACKEND_UNAVAILABLE, "the link was lost");
const PLACE = { backend: "files", sharesRoot: "/s", roots: [], requires: [], standing: null, busy: 0 };
const ALL = { allow: null, deny: [] };

type Told = Parameters<SharedCall["send"]>[2];

function stage(data?: DataSource) {
  const clock = createManualClock();
  const readiness = new Map<string, Readiness>();
  const inFlight = new Map<string, number>();
  const watchers = new Set<() => void>();
  const sent: string[] = [];
  const signal = new CallAbort();
  const together = new MergedTools({
    clock,
    ...(data === undefined ? {} : { data }),
    pool: {
      readiness: (backend) => readiness.get(backend) ?? "ready",
      inFlight: (backend) => inFlight.get(backend) ?? 0,
      watch(listener) {
        watchers.add(listener);
      },
    },
    onChanged() {},
  });
  together.setReplicas([
    { ...PLACE, machine: "desktop" },
    { ...PLACE, machine: "nas" },
  ]);
  together.merge([], { backends: [backendConfig("files")], together: { sharesRoot: "/s", with: ["*"] } }, []);
  return {
    together,
    clock,
    sent,
    signal,
    inFlight,
    become(backend: string, next: Readiness) {
      readiness.set(backend, next);
      for (const look of [...watchers]) look();
    },
    call: (answer: (backend: string, told: Told) => Reply, isOwnAlone = false, by = signal) =>
      together.call({
        replicas: ["files", "files@desktop", "files@nas"],
        params: {},
        signal: by,
        isOwnAlone,
        async send(backend, _params, told) {
          sent.push(backend);
          return answer(backend, told);
        },
      }),
  };
}

test("G1 an edit of what is approved holds at once, whatever is still known of other machines", () => {
  const source = (backend: string, description: string): CatalogSource => {
    const all = { allow: null, deny: [] };
    const tools = [{ name: "read", description, inputSchema: { type: "object" } }];
    const filters = { tools: all, resources: all, prompts: all };
    return { backend, filters, toolOverrides: {}, listings: { ...NO_LISTINGS, tools } };
  };
  const { together } = stage();
  const sources = [source("files@desktop", "Another one"), source("files@nas", "Reads")];
  const look = (...approved: readonly string[]): readonly string[] => {
    const rules = approved.length === 0 ? {} : { together: { sharesRoot: "/s", with: approved } };
    const merged = together.merge(sources, { backends: [], ...rules }, []);
    const { tools } = buildCatalog(merged, NO_GATEWAY.conflictResolution);
    return [...tools.values()].map(({ name, replicas, backend }) => `${name}: ${replicas ?? backend}`);
  };
  const apart = ["desktop_read: files@desktop", "nas_read: files@nas"];
  assert.deepEqual(look(), apart);
  const first = ["files_read: files@nas", "desktop_read: files@desktop"];
  assert.deepEqual(look("nas"), first);
  // Who joins does not take its name.
  assert.deepEqual(look("nas", "desktop"), first);
  assert.deepEqual(look("desktop/files"), ["files_read: files@desktop", "nas_read: files@nas"]);
  assert.deepEqual(look("desktop/other"), apart);
  assert.deepEqual(look(), apart);
});

test("G1 a server that sleeps is woken only where none runs, and here before another machine", async () => {
  const { together, become, call, sent } = stage();
  become("files", "asleep");
  await call(() => DONE);
  together.setReplicas([
    { ...PLACE, machine: "desktop", asleep: true },
    { ...PLACE, machine: "nas", asleep: true },
  ]);
  await call(() => DONE);
  assert.deepEqual(sent, ["files@desktop", "files"]);
  const lent = together.lentPlaces(["files"], "/s").get("files");
  assert.equal(lent?.asleep, true);
});

function loses(wasSent: boolean) {
  return (backend: string, told: Told): Reply => {
    told.onTaskLocation("location");
    if (backend === "files@nas") return DONE;
    told.onLoss({ failure: { kind: "closed", message: "lost", hint: null }, wasSent });
    return LOST;
  };
}

test("B2 a tool that is asleep on several machines is woken on one, and not where it runs elsewhere", async () => {
  const { call, sent, become } = stage();
  for (const backend of ["files", "files@desktop", "files@nas"]) become(backend, "asleep");
  const answer = (_: string, told: Told): Reply => {
    told.onTaskLocation("location");
    return DONE;
  };
  await call(answer);
  await call(answer);
  become("files@nas", "ready");
  await call(answer);
  become("files@nas", "waits");
  become("files", "waits");
  await call(answer);
  assert.deepEqual(sent, ["files", "files", "files@nas", "files@desktop"]);
});

test("G1 what was not sent goes to the next machine, each once", async () => {
  const { call, sent } = stage();
  assert.deepEqual(await call(loses(false)), DONE);
  assert.deepEqual(sent, ["files", "files@desktop", "files@nas"]);
});

test("G1 a call that its client gives up before it was sent goes to no other machine", async () => {
  const { call, sent, signal } = stage();
  const given = call((...sending) => {
    signal.abort("enough");
    return loses(false)(...sending);
  });
  assert.deepEqual(await given, LOST);
  assert.deepEqual(sent, ["files"]);
});

test("G1 what may have been sent is never sent again", async () => {
  const { call, sent } = stage();
  assert.deepEqual(await call(loses(true)), LOST);
  assert.deepEqual(sent, ["files"]);
});

test("G1 the server's own error is the answer", async () => {
  const { call, sent } = stage();
  const said = errorReply(-32_000, "no");
  const answer = (_: string, told: Told): Reply => {
    told.onTaskLocation("location");
    return said;
  };
  assert.deepEqual(await call(answer), said);
  assert.deepEqual(sent, ["files"]);
});

test("G1 when nobody would take it, each is asked once, and the last one's error tells why", async () => {
  const { call, sent } = stage();
  assert.deepEqual(await call(() => LOST), LOST);
  assert.equal(sent.length, 3);
});

test("G1 an edit that takes the word back takes effect at once, whatever is still known of machines", () => {
  const { together } = stage();
  const filters = { tools: ALL, resources: ALL, prompts: ALL };
  const listings = { ...NO_LISTINGS, tools: [{ name: "read", inputSchema: { type: "object" } }] };
  const sources = ["files", "files@desktop"].map((backend) => ({
    backend,
    filters,
    toolOverrides: {},
    listings,
  }));
  const backends = [backendConfig("files")];
  const merged = together.merge(sources, { backends, together: { sharesRoot: "/s", with: ["*"] } }, []);
  assertEach(merged, ({ replicas }) => replicas?.get("read"), [["files", "files@desktop"], undefined]);
  assert.equal(together.merge(sources, { backends }, []), sources);
});

test("G1 what another machine asks is not lent on", async () => {
  const { call, sent, become } = stage();
  become("files", "refuses");
  assert.deepEqual(await call(() => LOST, true), LOST);
  assert.deepEqual(sent, ["files"]);
  become("files", "waits");
  assert.deepEqual(await call(() => DONE, true), DONE, "it waits at the one machine that it may go to");
});

test("G1 a call waits for the first machine that is ready, no longer than it may take", async () => {
  const one = stage();
  for (const place of ["files", "files@desktop", "files@nas"]) one.become(place, "waits");
  const waiting = one.call(() => DONE);
  await settle();
  assert.deepEqual(one.sent, []);
  one.become("files@nas", "ready");
  assert.deepEqual(await waiting, DONE);
  assert.deepEqual(one.sent, ["files@nas"]);
  one.become("files@nas", "waits");
  const late = one.call(() => DONE);
  await settle();
  await one.clock.advance(60_000);
  const reply = await late;
  assert.ok("error" in reply && /in time/.test(reply.error.message));
  const given = one.call(() => DONE);
  await settle();
  one.signal.abort("enough");
  assert.ok("error" in (await given));
  assert.deepEqual([one.sent.length, one.clock.pendingTimers], [1, 0]);
});

test("G1 a call that was given up waits for no machine, and the time of the backend holds for the whole", async () => {
  const { together, call, become, clock, sent } = stage();
  for (const place of ["files", "files@desktop", "files@nas"]) become(place, "waits");
  const given = new CallAbort();
  given.abort("enough");
  assert.ok("error" in (await call(() => DONE, false, given)));
  const { timeouts, ...config } = backendConfig("files");
  const backends = [{ ...config, timeouts: { ...timeouts, callMs: 5_000 } }];
  together.merge([], { backends, together: { sharesRoot: "/s", with: ["*"] } }, []);
  const late = call(() => DONE);
  await settle();
  await clock.advance(5_000);
  const reply = await late;
  assert.ok("error" in reply && /in time/.test(reply.error.message));
  assert.deepEqual(sent, []);
});

test("G1 a call goes to the machine with the fewest calls, those that this one sent it included", async () => {
  const { call, become, inFlight, sent } = stage();
  become("files", "refuses");
  inFlight.set("files@desktop", 1);
  await call(() => DONE);
  assert.deepEqual(sent, ["files@nas"]);
});

test("G1 a call waits for a machine that has the share, and goes as soon as one has it", async () => {
  let isThere = false;
  const heard: (() => void)[] = [];
  const AWAY = { kind: "away", requirement: "CORE", reason: "it is not mounted", sinceMs: 0 } as const;
  const requires = [{ share: "CORE", folder: null }] as const;
  const { together, call, sent } = stage({
    status: () => (isThere ? { kind: "there", mounts: "" } : AWAY),
    onChange: (listener) => void heard.push(listener),
  });
  const backends = [{ ...backendConfig("files"), requires }];
  together.merge([], { backends, together: { sharesRoot: "/s", with: ["*"] } }, []);
  const theirs = { ...PLACE, machine: "desktop", requires: ["CORE"] };
  // Nothing is known of its share.
  together.setReplicas([theirs]);
  const first = call(() => DONE);
  await settle();
  assert.deepEqual(sent, []);
  together.setReplicas([{ ...theirs, standing: "fallback" }]);
  await first;
  assert.deepEqual(sent, ["files@desktop"]);
  together.setReplicas([theirs]);
  const second = call(() => DONE);
  await settle();
  isThere = true;
  for (const tell of heard) tell();
  await second;
  assert.deepEqual(sent, ["files@desktop", "files"]);
});

test("G1 E1 paths of another machine are read as this one's while it is approved, connected or not", () => {
  const { together } = stage();
  const config = backendConfig("files");
  const connection = { ...config.connection, args: ["/s/CORE"] } as const;
  const merge = (...approved: readonly string[]): void => {
    const rules = { backends: [{ ...config, connection }], together: { sharesRoot: "/s", with: approved } };
    together.merge([], rules, []);
  };
  const at = (machine: string, sharesRoot: string) => ({ ...PLACE, machine, sharesRoot, roots: ["CORE"] });
  const here = (root: string): unknown => {
    const given = together.namedHere(["files"], { arguments: { path: `${root}/CORE/x` } });
    return (given?.["arguments"] as JsonObject | undefined)?.["path"];
  };
  const isKnown = (root: string): boolean => {
    const path = here(root);
    assert.ok(path === "/s/CORE/x" || path === `${root}/CORE/x`, String(path));
    return path === "/s/CORE/x";
  };
  merge("*");
  together.setReplicas([at("desktop", "/d"), at("nas", "/n")]);
  assert.deepEqual(["/d", "/n"].map(isKnown), [true, true]);
  together.setReplicas([]);
  assert.deepEqual(["/d", "/n"].map(isKnown), [true, true]);
  merge("nas");
  assert.deepEqual(["/d", "/n"].map(isKnown), [false, true]);
  together.setReplicas([at("desktop", "/d")]);
  assert.deepEqual(["/d", "/n"].map(isKnown), [false, true]);
  merge("nas", "desktop");
  assert.deepEqual(["/d", "/n"].map(isKnown), [true, true]);
  // Of one backend, 200 machines.
  merge("*");
  const many = Array.from({ length: 199 }, (_, count) => at(`m${count}`, `/m${count}`));
  together.setReplicas([...many, at("nas", "/moved")]);
  assert.deepEqual(["/m197", "/m198", "/n", "/moved"].map(isKnown), [true, false, false, true]);
});

test("E4 calls that wait for a machine are bounded: one too many is told so at once", async () => {
  const { call, become, signal } = stage();
  for (const place of ["files", "files@desktop", "files@nas"]) become(place, "waits");
  const MOST = 1_000;
  const waiting = Array.from({ length: MOST }, () => call(() => DONE));
  await settle();
  const message = `no machine is ready, and ${MOST} calls wait already`;
  assert.deepEqual(await call(() => DONE), errorReply(BACKEND_UNAVAILABLE, message));
  signal.abort("enough");
  await Promise.all(waiting);
  const next = call(() => DONE, false, new CallAbort());
  await settle();
  become("files", "ready");
  assert.deepEqual(await next, DONE, "those that have gone make room");
});

test("G1 tools that stay apart, though this machine has a backend of that name, say why", async () => {
  const { clock, together } = stage();
  const tool = (description: string) => ({ name: "read", description, inputSchema: { type: "object" } });
  const filters = { tools: ALL, resources: ALL, prompts: ALL };
  const source = (backend: string, description: string): CatalogSource => ({
    backend,
    filters,
    toolOverrides: {},
    listings: { ...NO_LISTINGS, tools: [tool(description)] },
  });
  const rules = { backends: [backendConfig("files")], together: { sharesRoot: "/s", with: ["*"] } };
  const merge = (theirs: string) =>
    together.merge([source("files", "Reads."), source("files@desktop", theirs)], rules, []);
  merge("Reads.");
  assert.equal(together.apart("files@desktop"), null, "they are one");
  merge("Reads it otherwise.");
  assert.equal(together.apart("files@desktop")?.reason, "its server says something else of read");
  const sinceMs = clock.wallMs();
  await clock.advance(1_000);
  together.setReplicas([{ ...PLACE, machine: "desktop", requires: ["CORE"] }]);
  merge("Reads.");
  const reason = "there it requires CORE, here no share";
  assert.deepEqual(together.apart("files@desktop"), {
    backend: "files@desktop",
    reason,
    sinceMs: sinceMs + 1_000,
  });
  await clock.advance(1_000);
  merge("Reads.");
  assert.equal(together.apart("files@desktop")?.sinceMs, sinceMs + 1_000, "since when it is so");
  together.setReplicas([{ ...PLACE, machine: "desktop", roots: ["", "CORE/x"] }]);
  merge("Reads.");
  assert.equal(
    together.apart("files@desktop")?.reason,
    "there its command names all shares, CORE/x, here no folder of a share",
  );
});
