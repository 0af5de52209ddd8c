// Owns which configuration runs: contents are offered one at a time, accepted whole or rejected whole.
import type { ReloadReport } from "../../api/contract.ts";
import { diffConfigs, isEmptyDiff } from "../../config/diff.ts";
import type { ConfigMistake } from "../../config/mistakes.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { LoadedApart } from "../../config/worker/load-apart.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import type { ConfigApplier } from "./config-applier.ts";
import { describeDiff, mistakesText, NO_CHANGES } from "./reload-report.ts";
import { applyChange } from "./reload-transaction.ts";

export interface ReloaderOptions {
  /** Reads and checks a content, one at a time. */
  readonly read: (bytes: Uint8Array, signal: AbortSignal) => Promise<LoadedApart>;
  readonly first: ConfigSnapshot;
  readonly appliers: readonly ConfigApplier[];
  /** Reads the secrets that a content refers to: other values are another meaning. Default: there are none. */
  readonly bindSecrets?: (snapshot: ConfigSnapshot, signal: AbortSignal) => Promise<ConfigSnapshot>;
  readonly logger: Logger;
  readonly publish: (transition: ServiceTransition) => void;
  /** Keeps an accepted content, which runs already; its failure is told and holds back nothing. */
  readonly keep: (
    snapshot: ConfigSnapshot,
    bytes: Uint8Array,
    source: string,
    summary: string,
  ) => Promise<void>;
}

interface OfferedContent {
  readonly bytes: Uint8Array;
  /** Set when the content is checked already, as what an edit has saved. */
  readonly snapshot: ConfigSnapshot | null;
  /** Who brings it: "file", "cli", "rollback". */
  readonly source: string;
}

export interface Reloader {
  readonly running: ConfigSnapshot;
  /** A content is being offered or previewed. */
  readonly busy: boolean;
  /** 1 at the start; grows with each accepted content that means something else. */
  readonly generation: number;
  /** Resolves at commit; offers made meanwhile wait their turn. Never rejects: why it failed is in the report. */
  offer(content: OfferedContent, signal: AbortSignal): Promise<ReloadReport>;
  /** The running content once more, because its secrets may have other values now. */
  refreshSecrets(source: string, signal: AbortSignal): Promise<ReloadReport>;
  /** What an offer would do. */
  preview(content: OfferedContent, signal: AbortSignal): Promise<ReloadReport>;
}

export function createReloader(options: ReloaderOptions): Reloader {
  const { appliers, logger, publish } = options;
  const bindSecrets = options.bindSecrets ?? ((loaded: ConfigSnapshot) => Promise.resolve(loaded));
  let running = options.first;
  let generation = 1;
  let last: Promise<unknown> = Promise.resolve();
  let underWay = 0;

  const keep: ReloaderOptions["keep"] = async (...accepted) => {
    try {
      await options.keep(...accepted);
    } catch (error) {
      logger.warn("an accepted configuration could not be kept", { reason: errorText(error) });
    }
  };

  const report = (told: Partial<ReloadReport> & Pick<ReloadReport, "sha256" | "summary">): ReloadReport => ({
    reloaded: false,
    dry_run: false,
    generation,
    settings: [],
    shares: { added: [], removed: [], changed: [] },
    backends: { added: [], removed: [], changed: [] },
    middleware: [],
    errors: [],
    failure: null,
    ...told,
  });

  const load = async (
    { bytes, snapshot }: OfferedContent,
    signal: AbortSignal,
  ): Promise<ConfigSnapshot | readonly ConfigMistake[]> => {
    if (snapshot !== null) return bindSecrets(snapshot, signal);
    const { loaded } = await options.read(bytes, signal);
    return loaded.ok ? bindSecrets(loaded.snapshot, signal) : loaded.mistakes;
  };

  const attempt = async (
    content: OfferedContent,
    signal: AbortSignal,
    dryRun: boolean,
  ): Promise<ReloadReport> => {
    const { source, bytes } = content;
    try {
      const loaded = await load(content, signal);
      if ("length" in loaded) return rejected(loaded, dryRun);
      const diff = diffConfigs(running.config, loaded.config);
      const told = describeDiff(diff);
      const { sha256 } = loaded;
      const changes = !isEmptyDiff(diff);
      const isNew = running.sha256 !== sha256;
      if (dryRun) return report({ ...told, sha256, dry_run: true });
      if (!changes) {
        // Other bytes, the same meaning: they are what runs from now on.
        running = loaded;
        if (isNew) await keep(loaded, bytes, source, NO_CHANGES);
        return report({ sha256, summary: NO_CHANGES });
      }
      await applyChange(appliers, { before: running.config, after: loaded.config, diff }, logger, signal);
      running = loaded;
      generation += 1;
      publish({ name: "config.applied", source, generation, sha256, summary: told.summary });
      if (isNew) await keep(loaded, bytes, source, told.summary);
      return report({ ...told, sha256, reloaded: true });
    } catch (error) {
      const failure = errorText(error);
      return report({ sha256: running.sha256, summary: failure, failure, dry_run: dryRun });
    }
  };

  const rejected = (errors: readonly ConfigMistake[], dryRun: boolean): ReloadReport =>
    report({
      sha256: running.sha256,
      summary: mistakesText(errors),
      errors: [...errors],
      dry_run: dryRun,
    });

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    underWay += 1;
    const mine = last.then(work).finally(() => {
      underWay -= 1;
    });
    last = mine.catch(() => {});
    return mine;
  };

  return {
    get running() {
      return running;
    },
    get generation() {
      return generation;
    },
    get busy() {
      return underWay > 0;
    },
    offer: (content, signal) => inTurn(() => attempt(content, signal, false)),
    refreshSecrets: (source, signal) =>
      inTurn(() => attempt({ bytes: new Uint8Array(), snapshot: running, source }, signal, false)),
    preview: (content, signal) => inTurn(() => attempt(content, signal, true)),
  };
}
