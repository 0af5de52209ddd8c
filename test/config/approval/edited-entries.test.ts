import assert from "node:assert/strict";
import { test } from "node:test";
import { type Approvals, decideHeld, withApproved } from "../../../src/config/approval/decide-held.ts";
import { editedEntries, refusedEntries } from "../../../src/config/approval/edited-entries.ts";
import type { MountaineerConfig } from "../../../src/config/snapshot.ts";
import { accepted } from "../support.ts";
import { GROUND } from "./places.ts";

const FILES = '[backends.files]\ncommand = "serve"\nargs = ["/home/ann"]\n';
const OTHER = '[backends.other]\ncommand = "rm"\ncwd = "/srv"\n';
const OFF = OTHER.replace("]\n", "]\nenabled = false\n");

/** A home whose file changes from outside, or by a person's edits, as a daemon takes both. */
async function homeWith(text: string) {
  const first = (await accepted(text)).config;
  let approvals: Approvals | null = null;
  let running: MountaineerConfig | null = null;
  let file = first;
  const look = (): readonly string[] => {
    const held = decideHeld({ file, running, approvals, ...GROUND });
    running = held.effective;
    approvals = held.approvals;
    return running.backends
      .filter(({ enabled }) => enabled)
      .map(({ connection }) => (connection.type === "stdio" ? connection.command : connection.url));
  };
  look();
  return {
    /** Commands that run then. */
    async outside(next: string): Promise<readonly string[]> {
      file = (await accepted(next)).config;
      return look();
    },
    async edit(next: string): Promise<readonly string[]> {
      const before = file;
      file = (await accepted(next)).config;
      const grant = editedEntries({ before, after: file, running, approvals, ...GROUND });
      if (approvals !== null) approvals = withApproved(approvals, { file, running, ...GROUND }, grant);
      return look();
    },
  };
}

test("E2 a command that changed while its backend was off is not approved by switching it on", async () => {
  const home = await homeWith(FILES + OTHER);
  await home.edit(FILES + OFF);
  assert.deepEqual(await home.edit(FILES + OTHER), ["serve", "rm"], "as it was");
  await home.edit(FILES + OFF);
  await home.outside(FILES + OFF.replace("rm", "evil"));
  assert.deepEqual(await home.edit(FILES + OTHER.replace("rm", "evil")), ["serve"]);
  const more = `${OTHER.replace("rm", "evil")}[backends.other.env]\nMORE = "1"\n`;
  assert.deepEqual(await home.edit(FILES + more), ["serve"], "nor by another edit of it");
  await home.outside(FILES + OFF);
  assert.deepEqual(await home.edit(FILES + OTHER), ["serve", "rm"], "its earlier command stays approved");
});

test("E2 an edit loosens no approval, whoever makes it", async () => {
  const all = '[trust]\napprove = "all"\n';
  const none = '[trust]\napprove = "none"\n';
  for (const moved of [FILES + OTHER, OTHER + FILES]) {
    const home = await homeWith(FILES + OTHER + all);
    await home.edit(moved + none);
    const changed = await home.outside((moved + none).replace("rm", "evil"));
    assert.deepEqual(changed.toSorted(), ["rm", "serve"]);
  }
  const [before, after] = [(await accepted(FILES + all)).config, (await accepted(FILES + none)).config];
  const { approvals } = decideHeld({ file: before, running: null, approvals: null, ...GROUND });
  assert.ok(approvals !== null);
  const edited = editedEntries({ before, after, running: before, approvals, ...GROUND });
  const refused = refusedEntries(edited, { before, after });
  assert.equal(withApproved(approvals, { file: after, running: before, ...GROUND }, refused).mode, "all");
});

test("E2 one that stood switched off when approvals began is switched on by its person, as it stood, and by nobody else", async () => {
  const home = await homeWith(FILES + OFF);
  assert.deepEqual(await home.outside(FILES + OTHER), ["serve"]);
  await home.outside(FILES + OFF);
  assert.deepEqual(await home.edit(FILES + OTHER), ["serve", "rm"]);
  const changed = await homeWith(FILES + OFF);
  await changed.outside(FILES + OFF.replace("rm", "evil"));
  assert.deepEqual(await changed.edit(FILES + OTHER.replace("rm", "evil")), ["serve"]);
});

test("E2 one that came into the file later, switched off, waits when it is switched on: nobody was shown it", async () => {
  const home = await homeWith(FILES);
  await home.outside(FILES + OFF);
  assert.deepEqual(await home.edit(FILES + OTHER), ["serve"]);
});

test("E2 with all, a person's edit that moves backends moves them, and none that others have moved", async () => {
  const all = '[trust]\napprove = "all"\n';
  const home = await homeWith(FILES + OTHER + all);
  assert.deepEqual(await home.edit(OTHER + FILES + all), ["rm", "serve"]);
  assert.deepEqual(await home.outside(FILES + OTHER + all), ["rm", "serve"]);
  const more = OTHER.replace("]\n", "]\ngroup = 'x'\n");
  assert.deepEqual(await home.edit(FILES + more + all), ["rm", "serve"], "it waits on");
  await home.outside(OTHER + FILES + all);
  assert.deepEqual(await home.edit(OFF + FILES + all), ["serve"]);
  await home.edit(OFF.replace("rm", "cat") + FILES + all);
  const cat = OTHER.replace("rm", "cat");
  assert.deepEqual(await home.edit(cat + FILES + all), ["cat", "serve"], "back at its place");
  await home.outside(FILES + cat + all);
  const calm = '[backends.calm]\ncommand = "calm"\ncwd = "/srv"\n';
  const edited = await home.edit(calm + FILES + cat + all);
  assert.deepEqual(edited, ["cat", "serve", "calm"], "a move is no yes to another that waits");
});

test("E2 with all, what a person adds stands where they put it, and what waits does not get a place by that", async () => {
  const all = '[trust]\napprove = "all"\n';
  const calm = '[backends.calm]\ncommand = "calm"\ncwd = "/srv"\n';
  const home = await homeWith(FILES + OTHER + all);
  assert.deepEqual(await home.edit(FILES + calm + OTHER + all), ["serve", "calm", "rm"]);
  const evil = calm.replaceAll("calm", "evil");
  await home.outside(evil + FILES + calm + OTHER + all);
  assert.deepEqual(await home.edit(evil + OTHER + FILES + calm + all), ["rm", "serve", "calm"]);
  const changed = OTHER.replace("rm", "evil2");
  await home.outside(changed + FILES + calm + all);
  assert.deepEqual(await home.edit(calm + changed + FILES + all), ["calm", "serve", "rm"]);
});

test("E2 who may approve nothing approves no order either", async () => {
  const [before, after] = [(await accepted(FILES + OTHER)).config, (await accepted(OTHER + FILES)).config];
  const edited = editedEntries({ before, after, running: before, approvals: null, ...GROUND });
  assert.ok(edited.ids.has("backends"));
  assert.deepEqual([...refusedEntries(edited, { before, after }).ids], []);
});

test("E2 who may approve nothing takes approvals away by removing and switching off, and by nothing else", async () => {
  const file = (await accepted(FILES + OTHER)).config;
  const { approvals } = decideHeld({ file, running: null, approvals: null, ...GROUND });
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

test("E2 what a person writes while it is off runs when they switch it on, and by nobody else's word", async () => {
  const home = await homeWith(FILES);
  await home.edit(FILES + OFF);
  await home.edit(FILES + OFF.replace("rm", "cat"));
  assert.deepEqual(await home.outside(FILES + OTHER.replace("rm", "cat")), ["serve"]);
  await home.outside(FILES + OFF.replace("rm", "cat"));
  assert.deepEqual(await home.edit(FILES + OTHER.replace("rm", "cat")), ["serve", "cat"]);
});

test("E2 a person's edit of another key does not switch on what somebody else switched on", async () => {
  const home = await homeWith(FILES + OTHER);
  await home.edit(FILES + OFF);
  assert.deepEqual(await home.outside(FILES + OTHER), ["serve"]);
  const more = `${OTHER}[backends.other.env]\nMORE = "1"\n`;
  assert.deepEqual(await home.edit(FILES + more), ["serve"], "nobody was asked whether it runs");
  await home.outside(FILES + OTHER);
  await home.edit(FILES + OFF);
  assert.deepEqual(await home.outside(FILES + OTHER), ["serve"], "switched off once more, it stays off");
  await home.edit(FILES + OFF);
  assert.deepEqual(await home.edit(FILES + OTHER), ["serve", "rm"], "and the person switches it on");
});

test("E2 with all, a person's edit of a backend leaves it in its place among the others", async () => {
  const all = '[trust]\napprove = "all"\n';
  const home = await homeWith(FILES + OTHER + all);
  assert.deepEqual(await home.edit(FILES.replace("serve", "serve2") + OTHER + all), ["serve2", "rm"]);
  assert.deepEqual(await home.outside(OTHER + FILES.replace("serve", "serve2") + all), ["serve2", "rm"]);
});
