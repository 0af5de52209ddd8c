// Of what waits for a person: what only other versions, lost files and layers bring. Edits: `held-edits.test.ts`.
import assert from "node:assert/strict";
import test from "node:test";
import {
  type ApprovalOutcome,
  type Approvals,
  applyApprovals,
  withApproved,
} from "../../../src/config/approval/apply-approvals.ts";
import { editedEntries, refusedEntries } from "../../../src/config/approval/edited-entries.ts";
import { withRevisions } from "../../../src/config/read/secret-uses.ts";
import type { MountaineerConfig } from "../../../src/config/snapshot.ts";
import { accepted } from "../support.ts";
import { GROUND } from "./places.ts";

/** A home that goes from file to file, as a daemon does. */
function world() {
  let running: MountaineerConfig | null = null;
  let approvals: Approvals | null = null;
  let file: MountaineerConfig | null = null;
  const look = (): ApprovalOutcome => {
    if (file === null) throw new TypeError("no file yet");
    const outcome = applyApprovals({ file, running, approvals, ...GROUND });
    running = outcome.effective;
    approvals = outcome.approvals;
    return outcome;
  };
  return {
    async save(text: string): Promise<ApprovalOutcome> {
      file = (await accepted(text)).config;
      return look();
    },
    approve(...ids: string[]): ApprovalOutcome {
      if (file === null || approvals === null) throw new TypeError("nothing waits");
      approvals = withApproved(
        approvals,
        { file, running, ...GROUND },
        { ids: new Set(ids), loosens: false },
      );
      return look();
    },
    lose(mode: Approvals["mode"]): ApprovalOutcome {
      running = null;
      approvals = { mode, entries: new Map(), order: [] };
      return look();
    },
  };
}

function runs({ effective }: ApprovalOutcome): string[] {
  return effective.backends
    .filter(({ enabled }) => enabled)
    .map(({ name, connection }) => {
      return `${name}: ${connection.type === "stdio" ? [connection.command, ...connection.args].join(" ") : connection.url}`;
    });
}

const ids = ({ waiting }: ApprovalOutcome): string[] => waiting.map(({ id }) => id);
const FILES = '[backends.files]\ncommand = "serve"\nargs = ["/home/ann"]\n';
const OTHER = '[backends.other]\ncommand = "rm"\ncwd = "/srv"\n';
const OFF = OTHER.replace("]\n", "]\nenabled = false\n");

test("E2 the newest two hundred removed entries are remembered", async () => {
  const file = (await accepted(FILES)).config;
  const gone = Array.from(
    { length: 300 },
    (_, n) => [`backends.b${n}`, { state: "gone", whole: {} }] as const,
  );
  const given: Approvals = { mode: "commands", entries: new Map(gone), order: [] };
  const { approvals } = applyApprovals({ file, running: null, approvals: given, ...GROUND });
  const kept = [...(approvals?.entries.keys() ?? [])].filter((id) => /b\d+$/.test(id));
  assert.deepEqual([kept.length, kept[0], kept.at(-1)], [200, "backends.b100", "backends.b299"]);
});

test("E2 a lost home whose file has since been loosened is as strict as it last was", async () => {
  const home = world();
  await home.save(`${OTHER}[trust]\napprove = "none"\n`);
  const outcome = home.lose("commands");
  assert.deepEqual([outcome.mode, runs(outcome)], ["commands", []]);
  assert.deepEqual(ids(outcome), ["backends.other", "trust"]);
  await home.save(OTHER);
  home.lose("all");
  assert.equal(home.approve("trust").mode, "all", "a yes to `pin` loosens nothing");
});

test("E2 a new revision of a secret does not change an entry, but a different reference does", async () => {
  const home = world();
  const withEnv = (text: string): string => `${FILES}[backends.files.env]\nTOKEN = "${text}"\n`;
  await home.save(withEnv("secret:one"));
  const { effective, approvals } = await home.save(withEnv("${secret:one}"));
  const file = withRevisions(await accepted(withEnv("secret:one")), () => 7).config;
  assert.deepEqual(ids(applyApprovals({ file, running: effective, approvals, ...GROUND })), []);
  assert.deepEqual(ids(await home.save(withEnv("secret:two"))), ["backends.files"]);
  assert.deepEqual(ids(await home.save(withEnv("literal"))), ["backends.files"]);
});

test("E2 a null that a later version adds is not a change, and a missing one is null in a pending entry", async () => {
  const { config } = await accepted(FILES);
  const first = applyApprovals({ file: config, running: null, approvals: null, ...GROUND });
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
  const same = applyApprovals({ file: at({}), running: null, approvals, ...GROUND });
  assert.deepEqual(same.waiting, []);
  const outcome = applyApprovals({
    file: at({ later: "evil", group: "x" }),
    running: null,
    approvals,
    ...GROUND,
  });
  assert.deepEqual(ids(outcome), ["backends.files"]);
  assert.deepEqual(outcome.effective.backends[0], { ...backend, later: null, group: "x" });
});

test("E2 a person without the right to approve cannot approve an order either", async () => {
  const [before, after] = [(await accepted(FILES + OTHER)).config, (await accepted(OTHER + FILES)).config];
  const edited = editedEntries({ before, after, running: before, approvals: null, ...GROUND });
  assert.ok(edited.ids.has("backends"));
  assert.deepEqual([...refusedEntries(edited, { before, after }).ids], []);
});

test("E2 a person without the right to approve withdraws approvals only by removing and disabling entries", async () => {
  const file = (await accepted(FILES + OTHER)).config;
  const { approvals } = applyApprovals({ file, running: null, approvals: null, ...GROUND });
  const evil = (text: string): string => FILES + text.replace("rm", "evil");
  for (const [what, was, is, ids, forgets] of [
    ["one that is off is removed", FILES + OFF, FILES, ["backends.other"], []],
    ["one that runs changes", FILES + OTHER, evil(OTHER), [], []],
    ["one that is off changes", FILES + OFF, evil(OFF), [], []],
    ["one that waits is switched off", evil(OTHER), evil(OFF), ["backends.other"], ["backends.other"]],
  ] as const) {
    const [before, after] = [(await accepted(was)).config, (await accepted(is)).config];
    const edited = editedEntries({ before, after, running: file, approvals, ...GROUND });
    const refused = refusedEntries(edited, { before, after });
    assert.deepEqual([[...refused.ids], [...(refused.forgets ?? [])]], [ids, forgets], what);
  }
});
