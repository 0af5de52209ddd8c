// Edits of the configuration file that the daemon saves and applies itself, one after the other.

import { OWNERS_RIGHTS } from "../../api/access-contract.ts";
import type { EditReport } from "../../api/contract.ts";
import type { Control } from "../../api/operations.ts";
import { refusedEntries } from "../../config/approval/edited-entries.ts";
import type { SavedConfig } from "../../config/edit/save.ts";
import { type AcceptedContent, refuseOtherEntry } from "../../config/history/history.ts";
import type { ConfigLayer } from "../../config/layer/layer.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { loadConfigApart, saveConfigApart } from "../../config/worker/load-apart.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import { NO_CHANGES } from "../../sync/config-steps.ts";
import type { ConfigTurn } from "../../sync/config-store.ts";
import type { ConfigWatcher } from "../../sync/config-watcher.ts";
import type { Holding } from "./holding.ts";
import type { LayerUnderParts } from "./layer-under.ts";
import { reportOf } from "./reload-report.ts";

interface ConfigEditsParts
  extends Pick<LayerUnderParts, "place" | "file" | "history" | "clock" | "startReader"> {
  /** What lies under the file now. */
  readonly layer: () => ConfigLayer | null;
  readonly watcher: ConfigWatcher<ConfigSnapshot>;
  readonly logger: Logger;
  readonly holding: Holding;
}

type Turn = ConfigTurn<ConfigSnapshot>;

/** What of an edit counts as a person's word: all of it, what it removes or switches off, or none. */
type Says = "all" | "no" | "nothing";

export function createConfigEdits(parts: ConfigEditsParts) {
  const { place, layer, file, watcher, history, clock, holding, startReader } = parts;
  const { path } = file;

  const inTurn = carryThrough(watcher);
  const known = () => ({ sha256: watcher.running.sha256, runs: true });

  const applySaved = async (
    saved: SavedConfig,
    source: string,
    turn: Turn,
    says: Says,
  ): Promise<EditReport> => {
    if (!saved.ok) {
      const errors = [...saved.mistakes];
      return { changed: false, path, sha256: watcher.running.sha256, errors, reload: null };
    }
    const { changed, bytes, snapshot } = saved;
    const { sha256 } = snapshot;
    if (says !== "nothing") grantEdited(holding, saved, watcher.running.snapshot.config, says);
    const result = await turn.applySaved({ bytes, sha256, snapshot, source });
    const reload = reportOf(result, watcher.running, false, holding.waiting);
    return { changed, path, sha256, errors: [], reload };
  };

  const { tryToKeep, keepUnapplied } = keeping(parts);

  const replace = async (
    bytes: Uint8Array,
    expectedSha256: string | null,
    source: string,
    turn: Turn,
    { says, runsCommands }: { readonly says: Says; readonly runsCommands: boolean },
  ): Promise<EditReport> => {
    const { signal } = turn;
    const keepsEntries = !runsCommands;
    const before = await file.read(signal);
    const beforeSha256 = sha256Of(before);
    const save = async (): Promise<EditReport> => {
      const content = Buffer.from(bytes).toString("base64");
      const seenSha256 = expectedSha256 ?? beforeSha256;
      const seen = { seenSha256, known: known(), keepsEntries };
      const request = { kind: "replace", path, place, layer: layer(), content, ...seen } as const;
      return applySaved(await saveConfigApart(request, { clock, signal, startReader }), source, turn, says);
    };
    const isSeen = expectedSha256 === null || expectedSha256 === beforeSha256;
    // An emptied file holds nothing to keep, and nobody means to go back to it.
    const isEmpty = before === null || before.length === 0;
    if (isEmpty || beforeSha256 === watcher.running.sha256 || !isSeen) return save();
    const newest = await history.entry(0).catch(() => null);
    await keepUnapplied(before, signal);
    try {
      return await save();
    } finally {
      // The newest entry is what runs, also after a rollback to it or a failed edit.
      if (newest !== null && newest.sha256 === watcher.running.sha256) {
        await tryToKeep({ ...newest, source, summary: NO_CHANGES });
      }
    }
  };

  return {
    edit({ edits, expected_sha256, source }, asker, { runsCommands } = OWNERS_RIGHTS) {
      const seenSha256 = expected_sha256 ?? null;
      const keepsEntries = !runsCommands;
      return inTurn(asker, async (turn) => {
        const seen = { seenSha256, known: known(), keepsEntries };
        const request = { kind: "edit", path, place, layer: layer(), edits, ...seen } as const;
        const saved = await saveConfigApart(request, { clock, signal: turn.signal, startReader });
        return applySaved(saved, source, turn, runsCommands ? "all" : "no");
      });
    },
    editText: ({ text, expected_sha256, source }, asker, { runsCommands } = OWNERS_RIGHTS) =>
      inTurn(asker, (turn) => {
        const rights = { says: runsCommands ? "all" : "no", runsCommands } as const;
        return replace(Buffer.from(text), expected_sha256, source, turn, rights);
      }),
    rollback: ({ n = 1, sha256 = null, expected_sha256 = null }, asker, { runsCommands } = OWNERS_RIGHTS) =>
      inTurn(asker, async (turn) => {
        const entry = await history.entry(n);
        refuseOtherEntry(entry, sha256, path);
        const rights = { says: "nothing", runsCommands } as const;
        return replace(entry.bytes, expected_sha256, `rollback ${n}`, turn, rights);
      }),
  } satisfies Partial<Control>;
}

/** Keeps contents in the history that are about to be gone from the file. */
function keeping({ place, file: { path }, history, clock, logger, startReader }: ConfigEditsParts) {
  const tryToKeep = (content: Omit<AcceptedContent, "time">): Promise<void> =>
    history
      .record({ ...content, time: isoTime(clock.wallMs()) })
      .catch((error: unknown) =>
        logger.warn("a configuration could not be kept", { reason: errorText(error) }),
      );

  /** What a person saved and nobody has run yet would be lost with the file's content. */
  const keepUnapplied = async (bytes: Uint8Array, signal: AbortSignal): Promise<void> => {
    const content = Buffer.from(bytes).toString("base64");
    const request = { path, place, content, writeStarter: false };
    const { loaded } = await loadConfigApart(request, { clock, signal, startReader });
    if (!loaded.ok) return;
    const { sha256, format } = loaded.snapshot;
    await tryToKeep({ bytes, sha256, format, source: "file", summary: "found in the file" });
  };
  return { tryToKeep, keepUnapplied };
}

/** What has begun is carried through: an asker who leaves between write and commit must not part file and service. */
function carryThrough(watcher: ConfigWatcher<ConfigSnapshot>) {
  return (asker: AbortSignal, edit: (turn: Turn) => Promise<EditReport>): Promise<EditReport> => {
    let begun = false;
    const mine = watcher.inTurn(async (turn) => {
      if (asker.aborted) throw new MountaineerError("aborted", "cancelled; nothing was written");
      begun = true;
      return edit(turn);
    });
    const why = (): string =>
      begun ? "cancelled while it was being saved; it is carried through" : "cancelled; nothing was written";
    return unlessAborted(mine, asker, () => new MountaineerError("aborted", why()));
  };
}

/** Whoever edits here approves what they change; a rollback brings back text, and no approval. */
function grantEdited(
  { keeper, grant }: Holding,
  { before, snapshot }: Extract<SavedConfig, { ok: true }>,
  running: ConfigSnapshot["config"],
  says: Exclude<Says, "nothing">,
): void {
  if (keeper === null || before === null) return;
  const after = snapshot.config;
  const edited = keeper.edited(before, after, running);
  // Where approvals are lost, only who may approve begins them anew.
  if (says === "no" && keeper.lostBecause !== null) return;
  const granted = says === "all" ? edited : refusedEntries(edited, { before, after });
  if (granted.ids.size > 0) grant(snapshot.sha256, granted);
}
