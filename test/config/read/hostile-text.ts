// Tries any text on the configuration: what must hold of every answer, and what the answer cost. Only processor time
// counts, because waiting for other processes is nobody's fault.
import assert from "node:assert/strict";
import { editConfig } from "../../../src/config/edit/edit.ts";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { PLACE } from "../support.ts";

function usedSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** Loads, checks what must hold of every answer, and returns what it took of the processor in ms. */
export async function load(content: Uint8Array, file: string): Promise<number> {
  const before = process.cpuUsage();
  const loaded = await parseConfig(content, file, PLACE);
  const took = usedSince(before);
  if (loaded.ok) {
    assert.ok(Object.isFrozen(loaded.snapshot.config));
    return took;
  }
  assert.ok(loaded.mistakes.length > 0);
  let last = [0, 0];
  for (const mistake of loaded.mistakes) {
    assert.equal(mistake.file, file);
    assert.ok(mistake.line >= 1 && mistake.column >= 1);
    assert.ok(mistake.found !== "" && mistake.expected !== "");
    assert.ok(mistake.line > (last[0] ?? 0) || mistake.column >= (last[1] ?? 0), "mistakes are out of order");
    assert.ok(JSON.stringify(mistake).length < 5000);
    last = [mistake.line, mistake.column];
  }
  return took;
}

export const EDITS: readonly ConfigEdit[] = [
  { kind: "set", keyPath: ["global", "check_interval_secs"], value: 7.5 },
  { kind: "set", keyPath: ["sync", "detection"], value: "hash" },
  { kind: "unset", keyPath: ["global", "shares_root"] },
  { kind: "set", keyPath: ["shares", 0, "name"], value: "X" },
  { kind: "add", list: "shares", entry: { name: "NEW" } },
  { kind: "remove", list: "shares", name: "B" },
  { kind: "set", keyPath: ["backends", "files", "timeouts", "call"], value: 7 },
  { kind: "unset", keyPath: ["backends", "files", "env", "FILES_TOKEN"] },
  { kind: "add-backend", name: "new", backend: { command: "x" } },
  { kind: "remove", list: "backends", name: "files" },
];

const CODES: readonly string[] = [
  "config_invalid",
  "config_uneditable",
  "share_unknown",
  "backend_unknown",
  "usage",
];

/** Makes an edit; it is made or refused with a code of its own, and returns what that took of the processor in ms. */
export async function edit(content: Uint8Array, file: string, asked: ConfigEdit): Promise<number> {
  const before = process.cpuUsage();
  const format = file.endsWith(".toml") ? "toml" : "yaml";
  try {
    const { bytes: after } = await editConfig({ bytes: content, format, edits: [asked] });
    assert.ok(after.length < content.length + 1000);
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    assert.ok(CODES.includes(error.code), error.message);
    if (error.code === "config_invalid") assert.match(error.message, / at \d+:\d+: found ./);
  }
  return usedSince(before);
}
