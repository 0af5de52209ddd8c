// The fleet's layer under the configuration file. A new layer is applied like a reload: one at a time, and
// either completely or not at all.

import type { HomeContext } from "../../config/home-context.ts";
import type { ConfigLayer } from "../../config/layer/layer.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { loadConfigInChild } from "../../config/worker/load-in-child.ts";
import type { StartReader } from "../../config/worker/reader-process.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { outcomeOfThrown, type ReloadOutcome } from "../../sync/config-steps.ts";
import type { ConfigWatcher } from "../../sync/config-watcher.ts";
import type { WatchedFile } from "../../sync/watched-file.ts";
import type { BufferedHistory } from "./buffered-history.ts";
import { mistakesText } from "./reload-report.ts";

export interface LayerUnderParts {
  /** The layer at the start. */
  readonly first: ConfigLayer | null;
  readonly homeContext: HomeContext;
  readonly file: WatchedFile;
  readonly watcher: () => ConfigWatcher<ConfigSnapshot>;
  readonly history: BufferedHistory;
  readonly clock: Clock;
  readonly startReader: StartReader;
}

export type LayerUnder = ReturnType<typeof createLayerUnder>;

export function createLayerUnder(parts: LayerUnderParts) {
  const { first, homeContext, file, watcher, history, clock, startReader } = parts;
  let current = first;

  /** The text of the running configuration; null if neither the file nor the history has it. */
  const runningText = async (signal: AbortSignal): Promise<Uint8Array | null> => {
    const { sha256 } = watcher().running;
    const found = await file.read(signal).catch(() => null);
    if (found !== null && sha256Of(found.bytes) === sha256) return found.bytes;
    const kept = (await history.list()).find((entry) => entry.sha256 === sha256);
    return kept === undefined ? null : (await history.entry(kept.n)).bytes;
  };

  const lay = async (
    layer: ConfigLayer,
    turn: {
      readonly signal: AbortSignal;
      applyAgain(source: string, meant: ConfigSnapshot): Promise<ReloadOutcome>;
    },
  ): Promise<ReloadOutcome> => {
    const bytes = await runningText(turn.signal);
    if (bytes === null) return { kind: "failed", reason: `${file.path} cannot be read now` };
    const content = Buffer.from(bytes).toString("base64");
    const request = { path: file.path, homeContext, content, layer, writeStarter: false };
    const { loaded } = await loadConfigInChild(request, { clock, signal: turn.signal, startReader });
    if (!loaded.ok) return { ...loaded, kind: "rejected", reason: mistakesText(loaded.mistakes) };
    if (loaded.snapshot.config.layer?.revision !== layer.revision) {
      return { kind: "failed", reason: "[fleet].operator is another one by now" };
    }
    const before = current;
    current = layer;
    const outcome = await turn.applyAgain("fleet", loaded.snapshot);
    if (outcome.kind !== "applied") current = before;
    return outcome;
  };

  return {
    /**
     * The layer with which every text is loaded. It has an effect only if the text names the layer's
     * operator.
     */
    get current(): ConfigLayer | null {
      return current;
    },
    /** Revision of the layer that runs; null if none does. */
    revision: (): number | null => watcher().running.snapshot.config.layer?.revision ?? null,
    /** Drops the layer, because the running file no longer names an operator. */
    forget(): void {
      current = null;
    },
    /** Replaces the layer, whole or not at all. Rejects only with `aborted`. */
    async apply(layer: ConfigLayer): Promise<ReloadOutcome> {
      const outcome = await watcher().inTurn((turn) =>
        lay(layer, turn).catch((error: unknown): ReloadOutcome => {
          if (turn.signal.aborted) throw error;
          return outcomeOfThrown(error);
        }),
      );
      // A file that was rejected with the previous layer may be valid with this one.
      const { lastError } = watcher().state;
      const mayFit = lastError !== null && lastError.kind !== "cut_short";
      if (outcome.kind === "applied" && mayFit) void watcher().reloadNow();
      return outcome;
    },
  };
}
