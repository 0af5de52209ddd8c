// `config rollback`: shows how an entry of the history differs from the file, asks, and puts the entry back.

import type { InputOf } from "../../api/operations/operations.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { decodedText } from "../../config/read/config-bytes.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { CommandContext } from "../input/command.ts";
import { confirms } from "../input/confirm.ts";
import { changeConfig, viewConfig } from "../sessions/config-session.ts";
import { renderDiff } from "../views/diff-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { showEdit } from "./edit-outcome.ts";

/** Hashes of the shown entry and the shown file. */
type ShownHashes = Required<Pick<InputOf<"rollback">, "sha256" | "expected_sha256">>;

/** Resolves with the exit code; rejects with `history_unknown`, and `config_changed` if the entry or the file changed after it was shown. */
export async function rollBack(
  context: CommandContext,
  n: number,
  needsConfirmation: boolean,
): Promise<number> {
  let hashes: ShownHashes | null = null;
  if (needsConfirmation && context.prompt !== null) {
    const shown = await show(context, n);
    if (shown.differs && !(await confirms(context, "Restore it?", "no"))) return FAILED_EXIT;
    // Another edit during the question would renumber the history's entries; the daemon detects that by the hashes in
    // `hashes`.
    hashes = shown.hashes;
  }
  return changeConfig(context, async (call) =>
    showEdit(context, await call("rollback", { n, ...hashes }, context.signal), {
      done: `entry ${n} of the history is back`,
      same: `the file is the same as entry ${n}`,
    }),
  );
}

async function show(context: CommandContext, n: number) {
  const { diff, hashes } = await viewConfig(context, async (view) => {
    const after = await view.call("historyText", { n }, context.signal);
    const before = await view.read();
    const names = { before: view.path, after: `history ${n}` };
    return {
      diff: diffText(decodedText(before), after, names),
      hashes: {
        sha256: sha256Of(new TextEncoder().encode(after)),
        expected_sha256: sha256Of(before),
      },
    };
  });
  if (diff !== "") context.print(renderDiff(diff, context.stdoutStyle));
  return { differs: diff !== "", hashes };
}
