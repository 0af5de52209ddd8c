import assert from "node:assert/strict";
import test from "node:test";
import {
  type Approvals,
  decideHeld,
  type Held,
  withApproved,
} from "../../../src/config/approval/decide-held.ts";
import { withRevisions } from "../../../src/config/read/secret-uses.ts";
import type { MountaineerConfig } from "../../../src/config/snapshot.ts";
import { accepted } from "../support.ts";
import { GROUND } from "./places.ts";

/** A home that goes from file to file, as a daemon does. */
export function world() {
  let running: MountaineerConfig | null = null;
  let approvals: Approvals | null = null;
  let file: MountaineerConfig | null = null;
  const look = (): Held => {
    if (file === null) throw new TypeError("no file yet");
    const held = decideHeld({ file, running, approvals, ...GROUND });
    running = held.effective;
    approvals = held.approvals;
    return held;
  };
  return {
    async save(text: string): Promise<Held> {
      file = (await accepted(text)).config;
      return look();
    },
    approve(...ids: string[]): Held {
      if (file === null || approvals === null) throw new TypeError("nothing waits");
      approvals = withApproved(
        approvals,
        { file, running, ...GROUND },
        { ids: new Set(ids), loosens: false },
      );
      return look();
    },
    /** The next daemon finds what was remembered. */
    restart(): Held {
      running = null;
      return look();
    },
    lose(mode: Approvals["mode"]): Held {
      running = null;
      approvals = { mode, entries: new Map(), order: [] };
      return look();
    },
  };
}

export function runs({ effective }: Held): string[] {
  return effective.backends
    .filter(({ enabled }) => enabled)
    .map(({ name, connection }) => {
      return `${name}: ${connection.type === "stdio" ? [connection.command, ...connection.args].join(" ") : connection.url}`;
    });
}

const ids = ({ waiting }: Held): string[] => waiting.map(({ id }) => id);
const FILES = '[backends.files]\ncommand = "serve"\nargs = ["/home/ann"]\n';
const OTHER = '[backends.other]\ncommand = "rm"\ncwd = "/srv"\n';
const CALM = '[backends.calm]\ncommand = "calm"\ncwd = "/srv"\n';

test("E2 what stands is approved at the first start, and a command that comes later waits", async () => {
  const home = world();
  assert.deepEqual(runs(await home.save(FILES)), ["files: serve /home/ann"]);
  const held = await home.save(FILES + OTHER);
  assert.deepEqual(runs(held), ["files: serve /home/ann"]);
  assert.deepEqual(ids(held), ["backends.other"]);
  assert.equal(held.waiting[0]?.approved, null);
  assert.ok(
    held.effective.backends.some(({ name, enabled }) => name === "other" && !enabled),
    "it is shown",
  );
  assert.deepEqual(runs(home.restart()), ["files: serve /home/ann"]);
  const approved = home.approve("backends.other");
  assert.deepEqual([runs(approved).length, approved.waiting], [2, []]);
  assert.equal(runs(home.restart()).length, 2);
});

test("E2 the mode follows from whether a backend reaches the home, over the running and the new file together", async () => {
  const home = world();
  const calm = await home.save(CALM);
  assert.deepEqual([calm.mode, calm.approvals], ["none", null]);
  const off = await home.save(`${CALM}${FILES}enabled = false\n`);
  assert.deepEqual([off.mode, off.approvals], ["none", null], "one that is off reaches nothing");
  assert.deepEqual(runs(await home.save(CALM + OTHER)).length, 2, "nothing waits");
  const held = await home.save(CALM + OTHER + FILES);
  assert.deepEqual([held.mode, ids(held)], ["commands", ["backends.files"]], "the very edit that needs it");
  const narrowed = await home.save(CALM + OTHER.replace("rm", "dd"));
  assert.deepEqual([narrowed.mode, ids(narrowed)], ["commands", ["backends.other"]], "and it stays");
  const running = (await accepted(`${FILES}[trust]\napprove = "none"\n`)).config;
  const file = (await accepted(OTHER)).config;
  const left = decideHeld({ file, running, approvals: null, ...GROUND });
  assert.deepEqual([left.mode, ids(left)], ["commands", ["backends.other"]], "what ran counts");
});

test("E2 a loosened approve waits until a person approves it, and a tightened one holds at once", async () => {
  const home = world();
  const all = `${FILES}[trust]\napprove = "all"\n`;
  assert.equal((await home.save(all)).mode, "all");
  const held = await home.save(all.replace('"all"', '"none"'));
  assert.deepEqual([held.mode, ids(held), held.effective.trust.approve], ["all", ["trust"], "all"]);
  assert.equal((await home.save(FILES)).mode, "all", "nor by leaving it out");
  await home.save(all.replace('"all"', '"none"'));
  const loosened = home.approve("trust");
  assert.deepEqual([loosened.mode, loosened.waiting], ["none", []]);
  assert.deepEqual(runs(await home.save(`${FILES}${OTHER}[trust]\napprove = "none"\n`)).length, 2);
  assert.equal((await home.save(`${FILES}${OTHER}[trust]\napprove = "commands"\n`)).mode, "commands");
});

test("E2 with all, hosts, addresses and who may do what wait, too; with commands they apply", async () => {
  const share =
    '[[shares]]\nname = "CORE"\nthunderbolt_host = "a"\nfallback_host = "b"\n[[aliases]]\nname = "docs"\nshare = "CORE"\ntarget_subpath = "x"\n';
  const rest =
    '[backends.web]\nurl = "https://one.example/mcp"\n[incoming_auth]\ntype = "local"\ntoken = "${T}"\n[authorization]\ndefault_effect = "deny"\n';
  const before = FILES + share + rest;
  const after = before
    .replace('"b"', '"evil"')
    .replace("one.example", "evil.example")
    .replace("${T}", "${U}")
    .replace('"deny"', '"allow"');
  const lax = world();
  await lax.save(before);
  assert.deepEqual(ids(await lax.save(after)), []);
  const strict = world();
  const all = '[trust]\napprove = "all"\n';
  await strict.save(before + all);
  const held = await strict.save(after + all);
  assert.deepEqual(ids(held).sort(), ["authorization", "backends.web", "incoming_auth", "shares.CORE"]);
  assert.equal(held.effective.shares[0]?.routes.fallback.host, "b");
  assert.equal(held.effective.authorization?.defaultEffect, "deny");
  const added = await strict.save(before + all + share.replaceAll("CORE", "NEW").replace("docs", "new"));
  assert.deepEqual(ids(added).sort(), ["aliases.new", "shares.NEW"]);
  assert.deepEqual(
    [added.effective.shares.map(({ name }) => name), added.effective.aliases.map(({ name }) => name)],
    [["CORE"], ["docs"]],
  );
  await strict.save(rest + FILES + all);
  const back = await strict.save(after + all);
  assert.ok(!ids(back).includes("aliases.docs"), "the alias is as it was");
  assert.deepEqual([back.effective.shares, back.effective.aliases], [[], []], "its share is not");
});

test("E2 a `[server]` that is removed and comes back with the defaults needs an approval", async () => {
  const home = world();
  const trust = '[trust]\napprove = "all"\n';
  const server = '[server]\npublic_url = "https://mcp.example"\n';
  await home.save(`${trust}${server}[server.management]\nenabled = false\n`);
  assert.deepEqual(ids(await home.save(trust)), ["incoming_auth"]);
  assert.deepEqual(ids(home.restart()), ["incoming_auth"], "it goes on waiting");
  const back = await home.save(`${trust}[server]\n`);
  assert.deepEqual(ids(back), ["incoming_auth"]);
  const { management, publicUrl } = back.effective.server ?? {};
  assert.deepEqual([management?.enabled, publicUrl], [false, "https://mcp.example"]);
  await home.save(trust);
  assert.deepEqual(ids(home.approve("incoming_auth")), []);
  const approved = await home.save(`${trust}[server]\n`);
  assert.deepEqual(
    [ids(approved), approved.effective.server?.management.enabled, approved.effective.server?.publicUrl],
    [[], null, null],
  );
});

test("E2 where approvals are lost nothing is approved, nobody comes in, and approving brings it back", async () => {
  const home = world();
  await home.save(`${FILES}[trust]\napprove = "all"\n[backends.web]\nurl = "https://one.example/mcp"\n`);
  const held = home.lose("all");
  assert.deepEqual(runs(held), []);
  assert.deepEqual(held.effective.incomingAuth, { type: "local", users: [] });
  assert.deepEqual(held.effective.authorization, { defaultEffect: "deny", policies: [] });
  const again = home.restart();
  assert.deepEqual(ids(again), ids(held), "the next daemon knows no better");
  const approved = home.approve(...ids(held));
  assert.deepEqual([runs(approved).length, approved.waiting], [2, []]);
  assert.equal(approved.effective.incomingAuth.type, "anonymous");
});

test("E2 where approvals are lost and all waits, no trace is sent anywhere and changed tools are withheld", async () => {
  const home = world();
  const fleet = '[fleet]\nname = "laptop"\nservers = ["nats://127.0.0.1"]\ncredentials = "secret:fleet"\n';
  const server = '[server]\nhost = "0.0.0.0"\n[incoming_auth]\ntype = "local"\ntoken = "${T}"\n';
  const rest = `${fleet}${server}[groups.few]\nbackends = ["files"]\n`;
  const text = `${FILES}${rest}[trust]\napprove = "all"\n[telemetry]\nendpoint = "https://one.example"\n`;
  assert.equal((await home.save(text)).effective.telemetry?.endpoint, "https://one.example");
  await home.save(text.replace("one.example", "evil.example"));
  const lost = home.lose("all");
  assert.deepEqual([lost.effective.telemetry, lost.effective.trust.pin], [null, "block"]);
  const { fleet: joined, groups, server: listening } = lost.effective;
  assert.deepEqual([joined, groups, listening?.host], [null, [], "127.0.0.1"]);
  assert.ok(ids(lost).includes("telemetry"));
  const approved = home.approve("telemetry", "trust");
  assert.equal(approved.effective.telemetry?.endpoint, "https://evil.example");
  assert.equal(approved.effective.trust.pin, "tell");
});

test("E2 with all, what waits keeps its approved limits, telemetry, names and public address", async () => {
  const text = (many: number, host: string, separator: string): string =>
    `${FILES}[trust]\napprove = "all"\n[limits]\nsessions = ${many}\n[telemetry]\nendpoint = "https://${host}"\n[server]\npublic_url = "https://${host}/mcp"\n[conflict_resolution]\nseparator = "${separator}"\n`;
  const home = world();
  await home.save(text(7, "one.example", "-"));
  for (const held of [await home.save(text(70, "evil.example", "_")), home.restart()]) {
    const { limits, telemetry, server, conflictResolution } = held.effective;
    assert.deepEqual(
      [limits.sessions, telemetry?.endpoint, server?.publicUrl, conflictResolution.separator],
      [7, "https://one.example", "https://one.example/mcp", "-"],
    );
    assert.deepEqual(ids(held).toSorted(), ["conflict_resolution", "incoming_auth", "limits", "telemetry"]);
  }
});

test("E2 with all, what waits in `management` and in tables with chosen keys leaves what was approved", async () => {
  const home = world();
  const text = (management: string, tools: string): string =>
    `[trust]\napprove = "all"\n[server.management]\n${management}${FILES}${tools}`;
  const one = "[backends.files.tool_overrides.a]\nname = 'b'\n";
  const approved = (await home.save(text("", one))).effective;
  const more = text("allow_commands = true\n", `${one}[backends.files.tool_overrides.c]\nname = 'd'\n`);
  const held = await home.save(more);
  assert.deepEqual(ids(held), ["backends.files", "incoming_auth"]);
  assert.deepEqual(held.effective.server?.management, approved.server?.management);
  assert.deepEqual(held.effective.backends[0]?.toolOverrides, approved.backends[0]?.toolOverrides);
});

test("E2 of what was removed the newest two hundred are remembered", async () => {
  const file = (await accepted(FILES)).config;
  const gone = Array.from(
    { length: 300 },
    (_, n) => [`backends.b${n}`, { state: "gone", whole: {} }] as const,
  );
  const given: Approvals = { mode: "commands", entries: new Map(gone), order: [] };
  const { approvals } = decideHeld({ file, running: null, approvals: given, ...GROUND });
  const kept = [...(approvals?.entries.keys() ?? [])].filter((id) => /b\d+$/.test(id));
  assert.deepEqual([kept.length, kept[0], kept.at(-1)], [200, "backends.b100", "backends.b299"]);
});

test("E2 with all, a backend gets no other name unasked, since policies go by it", async () => {
  const home = world();
  const all = '[trust]\napprove = "all"\n';
  await home.save(FILES + OTHER + all);
  const renamed = await home.save(FILES.replace("files", "docs") + OTHER + all);
  assert.deepEqual([runs(renamed), ids(renamed)], [["other: rm"], ["backends.docs"]]);
  assert.deepEqual(ids(await home.save(FILES + OTHER + all)), [], "as it was");
  const swapped = FILES.replace("files", "other") + OTHER.replace("other]", "files]") + all;
  const held = await home.save(swapped);
  assert.deepEqual(runs(held).toSorted(), ["files: serve /home/ann", "other: rm"]);
  assert.deepEqual(ids(held).toSorted(), ["backends", "backends.files", "backends.other"]);
});

test("E2 with all, another order of backends waits: whose tool keeps a name stays as approved until a person says yes", async () => {
  const home = world();
  const all = '[trust]\napprove = "all"\n';
  await home.save(FILES + OTHER + all);
  const approved = ["files: serve /home/ann", "other: rm"];
  const swapped = await home.save(OTHER + FILES + all);
  assert.deepEqual([runs(swapped), ids(swapped)], [approved, ["backends"]]);
  assert.deepEqual(swapped.waiting[0]?.approved, { order: ["files", "other"] });
  assert.deepEqual(swapped.waiting[0]?.waiting, { order: ["other", "files"] });
  assert.deepEqual(runs(home.restart()), approved, "also for the next daemon");
  const more = await home.save(CALM + OTHER + FILES + all);
  assert.deepEqual(ids(more), ["backends.calm", "backends"]);
  assert.deepEqual(more.waiting[1]?.waiting, { order: ["other", "files"] }, "of those that run");
  const come = home.approve("backends.calm");
  assert.deepEqual(runs(come), [...approved, "calm: calm"], "one that comes is the last");
  assert.deepEqual(ids(come), ["backends"]);
  const moved = home.approve("backends");
  assert.deepEqual([runs(moved), ids(moved)], [["calm: calm", ...approved.toReversed()], []]);
  assert.deepEqual(runs(home.restart()), runs(moved), "also for the next daemon");
  await home.save(CALM + FILES + all);
  assert.deepEqual(runs(await home.save(CALM + OTHER + FILES + all)), runs(moved), "back at its place");
  assert.deepEqual(ids(await home.save(FILES + CALM + OTHER + all)), ["backends"]);
  assert.deepEqual(ids(await home.save(CALM + OTHER + FILES + all)), [], "put back, nothing waits");
  const commands = world();
  await commands.save(FILES + OTHER);
  assert.deepEqual(runs(await commands.save(OTHER + FILES)), approved.toReversed());
});

test("E2 with all, what is approved of a backend leaves it in its place among the others", async () => {
  const home = world();
  const all = '[trust]\napprove = "all"\n';
  await home.save(FILES + OTHER + all);
  await home.save(FILES.replace("serve", "serve2") + OTHER + all);
  const approved = ["files: serve2 /home/ann", "other: rm"];
  assert.deepEqual(runs(home.approve("backends.files")), approved);
  assert.deepEqual(runs(home.restart()), approved, "also for the next daemon");
});

test("E2 with all, a yes to an order is none to the place of what did not run then", async () => {
  const home = world();
  const all = '[trust]\napprove = "all"\n';
  await home.save(FILES + OTHER + all);
  await home.save(CALM + OTHER + FILES + all);
  const moved = home.approve("backends");
  assert.deepEqual([runs(moved), ids(moved)], [["other: rm", "files: serve /home/ann"], ["backends.calm"]]);
  const come = home.approve("backends.calm");
  assert.deepEqual([runs(come).at(-1), ids(come)], ["calm: calm", ["backends"]]);
});

test("E2 with all, another program under a name that was there before does not inherit its place", async () => {
  const home = world();
  const all = '[trust]\napprove = "all"\n';
  await home.save(FILES + OTHER + all);
  await home.save(OTHER + all);
  await home.save(FILES.replace("serve", "evil") + OTHER + all);
  const held = home.approve("backends.files");
  assert.deepEqual([runs(held), ids(held)], [["other: rm", "files: evil /home/ann"], ["backends"]]);
});

test("E2 what stood switched off when approvals began is known, and waits until its person switches it on", async () => {
  const home = world();
  const off = OTHER.replace("]\n", "]\nenabled = false\n");
  await home.save(FILES + off);
  const on = await home.save(FILES + OTHER);
  assert.deepEqual([ids(on), on.waiting[0]?.wasOff], [["backends.other"], true]);
  const changed = await home.save(FILES + OTHER.replace("rm", "evil"));
  assert.deepEqual([ids(changed), changed.waiting[0]?.wasOff], [["backends.other"], undefined]);
});

test("E2 a lost home whose file was loosened meanwhile is as strict as it last was", async () => {
  const home = world();
  await home.save(`${OTHER}[trust]\napprove = "none"\n`);
  const held = home.lose("commands");
  assert.deepEqual([held.mode, runs(held)], ["commands", []]);
  assert.deepEqual(ids(held), ["backends.other", "trust"]);
  await home.save(OTHER);
  home.lose("all");
  assert.equal(home.approve("trust").mode, "all", "a yes to `pin` loosens nothing");
});

test("E2 the revision of a secret is no change of an entry, and another reference is one", async () => {
  const home = world();
  const withEnv = (text: string): string => `${FILES}[backends.files.env]\nTOKEN = "${text}"\n`;
  await home.save(withEnv("secret:one"));
  const { effective, approvals } = await home.save(withEnv("${secret:one}"));
  const file = withRevisions(await accepted(withEnv("secret:one")), () => 7).config;
  assert.deepEqual(ids(decideHeld({ file, running: effective, approvals, ...GROUND })), []);
  assert.deepEqual(ids(await home.save(withEnv("secret:two"))), ["backends.files"]);
  assert.deepEqual(ids(await home.save(withEnv("literal"))), ["backends.files"]);
});

test("E2 a null that a later version adds is no change, and what it misses is null where it would wait", async () => {
  const { config } = await accepted(FILES);
  const first = decideHeld({ file: config, running: null, approvals: null, ...GROUND });
  const [backend] = config.backends;
  assert.ok(backend !== undefined && first.approvals !== null);
  const { group: _, ...whole } = first.approvals.entries.get("backends.files")?.whole ?? assert.fail();
  const entries = new Map(first.approvals.entries).set("backends.files", { whole, state: "runs" });
  const approvals = { ...first.approvals, entries };
  const later = {
    ...backend,
    later: null,
    connection: Object.assign({}, backend.connection, { later: null }),
  };
  const at = (one: object) => ({ ...config, backends: [{ ...later, ...one }] });
  const same = decideHeld({ file: at({}), running: null, approvals, ...GROUND });
  assert.deepEqual(same.waiting, []);
  const held = decideHeld({ file: at({ later: "evil", group: "x" }), running: null, approvals, ...GROUND });
  assert.deepEqual(ids(held), ["backends.files"]);
  assert.deepEqual(held.effective.backends[0], { ...backend, later: null, group: "x" });
});

test("E2 while an edit that drops routes waits, the approved routes go on, all of them", async () => {
  const home = world();
  const routes =
    '[[backends.many.routes]]\ncommand = "one"\n[[backends.many.routes]]\nurl = "https://two.example/mcp"\n';
  await home.save(`${routes}[trust]\napprove = "all"\n`);
  const held = await home.save('[backends.many]\ncommand = "evil"\n[trust]\napprove = "all"\n');
  assert.deepEqual(ids(held), ["backends.many"]);
  const [many] = held.effective.backends;
  assert.deepEqual(
    many?.routes?.map(({ connection }) =>
      connection.type === "stdio" ? connection.command : connection.url,
    ),
    ["one", "https://two.example/mcp"],
  );
  const kept = await home.save('[backends.many]\ncommand = "one"\n[trust]\napprove = "all"\n');
  assert.deepEqual(
    [ids(kept), kept.effective],
    [["backends.many"], held.effective],
    "a missing key is a value",
  );
  await home.save('[backends.many]\ncommand = "evil"\n[trust]\napprove = "all"\n');
  const { effective } = home.approve("backends.many");
  assert.deepEqual(runs({ ...held, effective }), ["many: evil"]);
  assert.equal(effective.backends[0]?.routes, undefined);
});

test("E2 another command on any route waits, whatever the first route is", async () => {
  const home = world();
  const routes = (command: string): string =>
    `${FILES}[[backends.many.routes]]\nurl = "https://two.example/mcp"\n[[backends.many.routes]]\ncommand = "${command}"\n`;
  await home.save(routes("one"));
  assert.deepEqual(ids(await home.save(routes("evil"))), ["backends.many"]);
  const spoken = FILES.replace("]\n", ']\nprotocol = "2026-07-28"\n');
  assert.deepEqual(ids(await home.save(routes("one").replace(FILES, spoken))), [], "the protocol is free");
});

test("E2 G1 a start without approvals approves its own file, and nothing that a fleet's layer brings", async () => {
  const { config } = await accepted(FILES + OTHER);
  const file = { ...config, layer: { revision: 1, brings: ["backends.other"] } };
  const started = decideHeld({ file, running: null, approvals: null, ...GROUND });
  assert.deepEqual([runs(started), ids(started)], [["files: serve /home/ann"], ["backends.other"]]);
  const again = decideHeld({ file, running: null, approvals: started.approvals, ...GROUND });
  assert.deepEqual([runs(again), ids(again)], [["files: serve /home/ann"], ["backends.other"]]);
  const off = { ...file, backends: file.backends.map((one) => ({ ...one, enabled: one.name === "files" })) };
  const { approvals } = decideHeld({ file: off, running: null, approvals: null, ...GROUND });
  assert.equal(
    approvals?.entries.has("backends.other"),
    false,
    "what it brings switched off is not seen, either",
  );
  const running = { ...file, trust: { ...file.trust, approve: "none" as const } };
  const kept = decideHeld({ file, running, approvals: null, ...GROUND });
  assert.deepEqual([runs(kept).length, ids(kept)], [2, []], "what already runs of it is approved");
  const calm = (await accepted(CALM)).config;
  const own = { ...calm, layer: { revision: 1, brings: [] } };
  const { mode } = decideHeld({ file: own, running: null, approvals: null, ...GROUND });
  assert.equal(mode, "commands", "a layer is written on another machine, whatever is in it now");
});
