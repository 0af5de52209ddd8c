// The configured aliases: their links are made, repaired and removed one after another, at the interval of the shares'
// cycles.

import { join } from "node:path";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { createReconcileLoop, type ReconcileLoop } from "../../reconcile/reconcile-loop.ts";
import type { TriggerReason } from "../../reconcile/trigger.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { conditionRows } from "../../runtime/conditions/conditions.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import type { LinkBlocked } from "../policy/share-observation.ts";
import type { LinkReading, Prober } from "../prober/prober.ts";
import { type AliasLinkTools, type AliasSpec, ensureAliasLink, removeAliasLink } from "./alias-link.ts";
import type { AliasMemory } from "./alias-memory.ts";
import { judgeLink } from "./stable-link.ts";

const notLinked = (hint: string | null) => (name: string, detail: string) =>
  [`The link of alias ${name} cannot be made: ${detail}`, hint] as const;

export const ALIAS_CONDITIONS = conditionRows("warning", {
  alias_path_taken: notLinked(
    "Move what is there away, or give the alias another path; Mountaineer does not touch it.",
  ),
  alias_not_linked: notLinked(null),
});

const READ_LINKS_MS = 1000;
/** Minimum time between two checks of a correct link, ms, as for the shares' own links. */
const RECHECK_MS = 2_000;
/** How long a folder that was found is not looked for again, ms. */
const FIND_AGAIN_MS = 30_000;

export type AliasTransition =
  | {
      readonly name: "alias.linked";
      readonly alias: string;
      readonly share: string;
      readonly path: string;
      readonly target: string;
      /** True: the link was there, with another target. */
      readonly repaired: boolean;
    }
  | {
      readonly name: "alias.blocked";
      readonly alias: string;
      readonly share: string;
      readonly path: string;
      readonly reason: string;
    }
  | { readonly name: "alias.removed"; readonly path: string };

export interface AliasView extends AliasSpec {
  /**
   * `missing`: the daemon makes the link at the next check; `taken`: the path holds something that is not ours;
   * `blocked`: the link cannot be made or read, `detail` says why.
   */
  readonly link: "right" | "missing" | "taken" | "blocked";
  /** The obstacle to the link; null: none. */
  readonly detail: string | null;
}

interface AliasLinksOptions extends RuntimeTools {
  readonly prober: Prober;
  readonly memory: AliasMemory;
  /** Paths of shares' mounts and of links to them at this moment. */
  readonly mountPaths: () => readonly string[];
  readonly publish: (transition: AliasTransition) => void;
}

interface Known {
  readonly spec: AliasSpec;
  /** With names in the Unicode forms that they have on the share; monotonic ms. null: the folder was never found. */
  found: { readonly spec: AliasSpec; readonly atMs: number } | null;
  /** The state of the link; null: not checked yet. */
  link: AliasView["link"] | null;
  detail: string | null;
  /** When the link was last found right, monotonic ms. */
  rightAtMs: number;
  /** When the obstacle began, ISO 8601. */
  since: string | null;
}

export class AliasLinks implements AsyncDisposable {
  readonly #options: AliasLinksOptions;
  readonly #tools: AliasLinkTools;
  readonly #loop: ReconcileLoop;
  #known: ReadonlyMap<string, Known> = new Map();

  constructor(options: AliasLinksOptions) {
    const { clock, logger, prober, memory, mountPaths } = options;
    this.#options = options;
    this.#tools = {
      prober,
      madeTargets: (path) => memory.targetsOf(path),
      remember: (path, target) => memory.remember(path, target),
      mountPaths,
      waitMs: READ_LINKS_MS,
    };
    this.#loop = createReconcileLoop({
      clock,
      run: async (triggers) => {
        const isTick = triggers.every(({ reason }) => reason === "tick");
        await this.#clear();
        await this.#ensure([...this.#known.values()].filter((alias) => !isTick || this.#isDue(alias)));
        return null;
      },
      onFailure: (error) => logger.error("aliases could not be checked", { reason: errorText(error) }),
    });
  }

  /** Replaces the configured aliases; nothing is done before the next trigger. */
  apply({ global, aliases }: MountaineerConfig): void {
    const next = new Map<string, Known>();
    for (const { name, path, share, targetSubpath } of aliases) {
      const spec = {
        name,
        path,
        share,
        targetSubpath,
        target: join(global.sharesRoot, share, targetSubpath),
      };
      const before = this.#known.get(name);
      const isSame = before?.spec.path === path && before.spec.target === spec.target;
      const unseen = { spec, link: null, detail: null, rightAtMs: Number.NEGATIVE_INFINITY, since: null };
      next.set(name, isSame ? before : { ...unseen, found: null });
    }
    this.#known = next;
  }

  trigger(reason: TriggerReason): void {
    // Without aliases and recorded links, as in most configurations, regular checks have nothing to do.
    const isIdle = this.#known.size === 0 && this.#options.memory.paths.length === 0;
    if (reason !== "tick" || !isIdle) this.#triggerNow(reason);
  }

  /** Makes, repairs and removes links as configured, and resolves with the state of each. */
  async reconcile(signal: AbortSignal): Promise<AliasView[]> {
    this.#triggerNow("user");
    await unlessAborted(
      this.#loop.idle(),
      signal,
      () => new MountaineerError("aborted", "cancelled; the links are still being made"),
    );
    return this.status();
  }

  /** The state at the last check. */
  status(): AliasView[] {
    return [...this.#known.values()].map(({ spec, found, link, detail }) => ({
      ...(found?.spec ?? spec),
      link: link ?? "missing",
      detail,
    }));
  }

  /** Checks all links now, and changes nothing. */
  async check(): Promise<AliasView[]> {
    const { prober, memory } = this.#options;
    const aliases = [...this.#known.values()].map(({ spec }) => spec);
    const readings = await prober.readLinks(
      aliases.map(({ path }) => path),
      READ_LINKS_MS,
    );
    return aliases.map((written, index): AliasView => {
      const reading = readings[index];
      const spec = spelledAs(reading, written);
      const found = judgeLink(reading, spec.path, spec.target, () => false);
      if (typeof found === "string")
        return { ...spec, link: found === "right" ? "right" : "missing", detail: null };
      const isOld = reading?.state === "link" && memory.targetsOf(spec.path).has(reading.target);
      return { ...spec, link: isOld ? "missing" : linkState(found), detail: found.by };
    });
  }

  conditions() {
    return [...this.#known.values()].flatMap(({ spec, link, detail, since }) => {
      if (since === null || detail === null) return [];
      const code = link === "taken" ? "alias_path_taken" : "alias_not_linked";
      return [{ ...ALIAS_CONDITIONS[code](spec.name, detail), since }];
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#loop[Symbol.asyncDispose]();
  }

  #triggerNow(reason: TriggerReason): void {
    this.#loop.trigger({ reason, atMs: this.#options.clock.monotonicMs(), details: [] });
  }

  #isDue({ link, rightAtMs }: Known): boolean {
    return link !== "right" || this.#options.clock.monotonicMs() - rightAtMs >= RECHECK_MS;
  }

  #record(alias: Known, link: AliasView["link"], detail: string | null): void {
    const { clock, publish } = this.#options;
    const isChanged = alias.link !== link || alias.detail !== detail;
    alias.link = link;
    alias.detail = detail;
    if (link === "right") {
      alias.rightAtMs = clock.monotonicMs();
      alias.since = null;
    } else if (isChanged) {
      alias.since = isoTime(clock.wallMs());
      const { name, share, path } = alias.spec;
      publish({ name: "alias.blocked", alias: name, share, path, reason: detail ?? link });
    }
  }

  async #ensure(due: readonly Known[]): Promise<void> {
    if (due.length === 0) return;
    await Promise.all(due.map((alias) => this.#find(alias)));
    const readings = await this.#options.prober.readLinks(
      due.map(({ spec }) => spec.path),
      READ_LINKS_MS,
    );
    for (const [index, alias] of due.entries()) {
      // Until its folder is found, a link keeps the Unicode form that it has.
      const spec = alias.found?.spec ?? spelledAs(readings[index], alias.spec);
      const { name, share, path, target } = spec;
      // The alias has since been removed or changed.
      if (this.#known.get(name) !== alias) continue;
      const outcome = await ensureAliasLink(this.#tools, spec, readings[index]);
      if (outcome.result === "blocked") {
        this.#record(alias, linkState(outcome), outcome.by);
        continue;
      }
      this.#record(alias, "right", null);
      if (outcome.result === "right") continue;
      const repaired = outcome.result === "repaired";
      this.#options.publish({ name: "alias.linked", alias: name, share, path, target, repaired });
    }
  }

  /** Finds the Unicode forms in which the share has the folder's names. */
  async #find(alias: Known): Promise<void> {
    const { clock, prober } = this.#options;
    const { target, targetSubpath } = alias.spec;
    const atMs = clock.monotonicMs();
    if (alias.found !== null && atMs - alias.found.atMs < FIND_AGAIN_MS) return;
    const root = target.slice(0, -targetSubpath.length);
    let found = "";
    for (const name of targetSubpath.split("/")) {
      const forms = new Set([name, name.normalize("NFC"), name.normalize("NFD")]);
      const paths = [...forms].map((form) => join(found, form));
      const readings = paths.map(async (path) =>
        paths.length === 1 || (await prober.checkFolder(root, path, READ_LINKS_MS))?.state === "there"
          ? path
          : "",
      );
      const path = (await Promise.all(readings)).find((one) => one !== "");
      if (path === undefined) return;
      found = path;
    }
    alias.found = { spec: { ...alias.spec, target: join(root, found) }, atMs };
  }

  /** Removes links of aliases that were removed or have another path now. */
  async #clear(): Promise<void> {
    const { prober, memory, publish } = this.#options;
    const wanted = new Set([...this.#known.values()].map(({ spec }) => spec.path));
    const unwanted = memory.paths.filter((path) => !wanted.has(path));
    if (unwanted.length === 0) return;
    const readings = await prober.readLinks(unwanted, READ_LINKS_MS);
    for (const [index, path] of unwanted.entries()) {
      const reading = readings[index];
      const wasThere = reading?.state === "link" && memory.targetsOf(path).has(reading.target);
      if (!(await removeAliasLink(this.#tools, path, reading))) continue;
      await memory.forget(path);
      if (wasThere) publish({ name: "alias.removed", path });
    }
  }
}

/** `spec` with its target in the Unicode form that its link has already. */
function spelledAs(link: LinkReading | undefined, spec: AliasSpec): AliasSpec {
  const isForm = link?.state === "link" && link.target.normalize() === spec.target.normalize();
  return isForm ? { ...spec, target: link.target } : spec;
}

function linkState({ why }: LinkBlocked): "taken" | "blocked" {
  return why === "taken" ? "taken" : "blocked";
}
