// Decides which entries of a file wait for a person's approval, and which configuration runs until then: the file, but
// with the approved form of each waiting entry. Pure.
import { type DeclaredBackend, declaredOf, isSameBackend, withDefaults } from "../backend-defaults.ts";
import { type ProtectedPaths, reachableByBackends } from "../reachable-paths.ts";
import { mostSerious } from "../schema/normalized.ts";
import type { EntryKind } from "../schema/schema-keys.ts";
import {
  type ApproveMode,
  type BackendDefaults,
  MANAGEMENT_DEFAULT,
  type MountaineerConfig,
} from "../snapshot.ts";
import { BACKEND_ORDER, inOrder, orderOf, orderWith } from "./backend-order.ts";
import {
  BACKEND_DEFAULTS,
  type Entry,
  type EntryGroup,
  type EntryParts,
  type EntryValue,
  entriesOf,
  entryOf,
  type Fields,
  isSameMeaning,
  membersOf,
  withSections,
} from "./entries.ts";
import { withNewKeys } from "./new-keys.ts";

export interface ApprovedEntry {
  /** The entry as it was approved last. */
  readonly whole: Fields;
  /**
   * `gone`: it does not run, and may be added again in this form. `off`: a person has switched it off, and only a
   * person may switch it on again.
   */
  readonly state: "runs" | "gone" | "off";
}

export interface Grant {
  /** The ids of the entries to approve. An entry that the file no longer has loses its approval instead. */
  readonly ids: ReadonlySet<string>;
  /** The ids among `ids` that lose their approval instead of getting one. */
  readonly forgets?: ReadonlySet<string>;
  /** True: the mode in the file's `[trust]` takes effect, even if it is looser than the approved mode. */
  readonly loosens: boolean;
  /**
   * The order to approve, if `ids` includes BACKEND_ORDER. Absent: the order in which the file lists the running
   * backends.
   */
  readonly order?: readonly string[];
}

export interface Approvals {
  readonly mode: ApproveMode;
  /** By id. A section without an entry was never approved, and runs in its closed form (see `closedForm`). */
  readonly entries: ReadonlyMap<string, ApprovedEntry>;
  /** The approved order: names of backends, including disabled and removed ones. */
  readonly order: readonly string[];
}

export interface WaitingEntry extends Omit<Entry, "parts" | "whole"> {
  /** The most serious kind among the fields that differ. */
  readonly kind: EntryKind;
  /** The approved form, which runs until the waiting one is approved; null: the entry does not run. */
  readonly runs: Fields | null;
  /** The fields of the approved form that may need an approval; null: the entry does not run. */
  readonly approved: Fields | null;
  /** The same fields of the form that waits. */
  readonly waiting: Fields;
  /** It was approved before in this form, but a person has switched it off. */
  readonly wasOff?: true;
  /** For `[backend_defaults]`: the backends that run with other settings once it is approved. */
  readonly touches?: readonly string[];
}

export interface ApprovalInput {
  readonly file: MountaineerConfig;
  /** The configuration that runs; null: none yet. */
  readonly running: MountaineerConfig | null;
  /** null: the home has never recorded approvals. */
  readonly approvals: Approvals | null;
  readonly protectedPaths: ProtectedPaths;
  /** The configuration of an empty file. */
  readonly blank: MountaineerConfig;
}

export interface ApprovalOutcome {
  /** The configuration that may run. */
  readonly effective: MountaineerConfig;
  readonly waiting: readonly WaitingEntry[];
  readonly mode: ApproveMode;
  /**
   * The approvals to remember when `effective` runs; null: the home has no approvals, and needs none in mode `none`.
   */
  readonly approvals: Approvals | null;
}

/**
 * Maximum number of removed entries whose approvals are remembered, so that they can be added again without a new one.
 */
const MOST_REMEMBERED = 200;

const BACKEND = "backends.";
const TRUST = "trust";

/**
 * The mode that the file asks for. If the file has no key `approve`: `commands` if a backend of the file or of the
 * running configuration reaches the home; else `none`.
 */
function requestedMode({
  file,
  running,
  protectedPaths,
}: Pick<ApprovalInput, "file" | "running" | "protectedPaths">): ApproveMode {
  if (file.trust.approve !== null) return file.trust.approve;
  const backends = [...file.backends, ...(running?.backends ?? [])];
  const reaches = backends.some(
    (backend) => backend.enabled && reachableByBackends(backend, protectedPaths).length > 0,
  );
  return reaches ? "commands" : "none";
}

/** The configuration that may run, what waits, and the approvals to remember. */
export function applyApprovals(input: ApprovalInput): ApprovalOutcome {
  const { file, running, blank, protectedPaths } = input;
  const requested = requestedMode(input);
  if (input.approvals === null && requested === "none") {
    return { effective: file, waiting: [], mode: requested, approvals: null };
  }
  const approvals = input.approvals ?? firstApprovals(running ?? file, requested);
  const mode = stricter(requested, approvals.mode);
  const guard = { mode, tightens: isAsStrict(requested, approvals.mode), blank, protectedPaths };
  const renamed = renamedEntries(file, approvals, guard);
  const waiting = [...entriesOf(file).values()]
    .filter(({ id }) => !renamed.has(id))
    .flatMap((entry) => waitingEntry(entry, approvals.entries.get(entry.id), guard) ?? []);
  const unordered = effectiveConfig(file, waiting);
  const order = waits("access", mode) ? positionsOf(approvals, waiting) : null;
  const effective = order === null ? unordered : inOrder(unordered, order);
  const old = new Set(renamed.values());
  const before = new Map([...approvals.entries].filter(([id]) => !old.has(id)));
  const entries = approvedAs(entriesOf(effective), before);
  return {
    effective,
    waiting: [
      ...waiting.map((entry) =>
        entry.id === BACKEND_DEFAULTS
          ? { ...entry, touches: touchedBy(file.backendDefaults, effective) }
          : entry,
      ),
      ...waitingOrder(unordered, effective),
    ],
    mode,
    approvals: {
      mode,
      entries,
      order: order === null ? namesOf(file) : orderWith(order, orderOf(effective)),
    },
  };
}

/**
 * The first approvals of a home. Everything that runs is approved; at a start, this is the whole file. Disabled
 * backends are recorded as switched off by a person.
 */
function firstApprovals(running: MountaineerConfig, mode: ApproveMode): Approvals {
  const on = entriesOf(running);
  const entries = [...entriesOf(withAllOn(running)).values()].map(
    ({ id, whole }) => [id, { whole, state: on.has(id) ? "runs" : "off" }] as const,
  );
  return { mode, entries: new Map(entries), order: namesOf(running) };
}

/** The positions of backends. A waiting new backend has no position, even if an earlier one had its name. */
function positionsOf({ entries, order }: Approvals, waiting: readonly WaitingEntry[]): readonly string[] {
  const fresh = new Set(waiting.filter(({ runs }) => runs === null).map(({ id }) => id));
  return order.filter((name) => entries.has(BACKEND + name) && !fresh.has(BACKEND + name));
}

function namesOf({ backends }: MountaineerConfig): readonly string[] {
  return backends.map(({ name }) => name);
}

/** The names of the running backends that run otherwise with these defaults. */
function touchedBy(defaults: BackendDefaults, { backends }: MountaineerConfig): readonly string[] {
  const touched = backends.filter(
    (backend) => backend.enabled && !isSameBackend(backend, withDefaults(declaredOf(backend), defaults)),
  );
  return touched.map(({ name }) => name);
}

/** Returns the waiting entry for the order of backends; empty if the running order is already that of the file. */
function waitingOrder(wanted: MountaineerConfig, effective: MountaineerConfig): readonly WaitingEntry[] {
  const [approved, waiting] = [{ order: orderOf(effective) }, { order: orderOf(wanted) }];
  if (isSameMeaning(approved, waiting)) return [];
  const id = BACKEND_ORDER;
  return [{ id, name: id, group: "sections", kind: "access", runs: approved, approved, waiting }];
}

/**
 * The approvals after a person's grant. The approval mode becomes that of the file if `loosens` is
 * set, or if the person approves a new value of `approve` in `[trust]`; otherwise it stays as it was.
 */
export function withApproved(
  approvals: Approvals,
  input: Pick<ApprovalInput, "file" | "running" | "protectedPaths">,
  { ids, forgets, loosens, order }: Grant,
): Approvals {
  const inFile = entriesOf(withAllOn(input.file));
  const on = entriesOf(input.file);
  const entries = new Map(approvals.entries);
  // Without `order`, the person saw only the order of the running backends.
  const shown = order ?? namesOf(input.file).filter((name) => entries.get(BACKEND + name)?.state === "runs");
  for (const id of ids) {
    const entry = inFile.get(id);
    entries.delete(id);
    if (entry === undefined || forgets?.has(id) === true) continue;
    entries.set(id, { whole: entry.whole, state: on.has(id) ? "runs" : "off" });
  }
  const was = approvals.entries.get(TRUST)?.whole["approve"] ?? null;
  const isRequestedAgain = loosens || (ids.has(TRUST) && input.file.trust.approve !== was);
  return {
    entries,
    order: ids.has(BACKEND_ORDER) ? orderWith(shown, approvals.order) : approvals.order,
    mode: isRequestedAgain ? requestedMode(input) : approvals.mode,
  };
}

/** Returns `config` with every backend enabled. */
export function withAllOn(config: MountaineerConfig): MountaineerConfig {
  return { ...config, backends: config.backends.map((backend) => ({ ...backend, enabled: true })) };
}

/** What decides whether an entry waits. */
interface Guard {
  readonly mode: ApproveMode;
  /** The file's mode is at least as strict as the approved one, so the mode itself needs no approval. */
  readonly tightens: boolean;
  readonly blank: MountaineerConfig;
  readonly protectedPaths: ProtectedPaths;
}

/** The parts that differ from the approved form, among those that the mode guards. */
function differing(entry: Entry, approved: Fields | null, guard: Guard): EntryParts {
  const { group, name, parts } = entry;
  const { mode, tightens } = guard;
  const were = approved === null ? null : entryOf(group, name, ofToday(approved, entry, guard)).parts;
  const differ = Object.entries(parts).filter(([part, { kind, value }]) => {
    if (!waits(kind, mode) || (kind === "approval" && tightens)) return false;
    return were === null || !isSameMeaning(were[part]?.value, value);
  });
  return Object.fromEntries(differ);
}

function ofToday(approved: Fields, entry: Entry, { blank, protectedPaths }: Guard): Fields {
  const empty = entry.group === "sections" ? entriesOf(blank).get(entry.id)?.whole : undefined;
  return withNewKeys(approved, entry, empty ?? {}, protectedPaths.userHome);
}

const isSame = (...args: Parameters<typeof differing>): boolean =>
  Object.keys(differing(...args)).length === 0;

function waitingEntry(entry: Entry, known: ApprovedEntry | undefined, guard: Guard): WaitingEntry | null {
  const { id, group, name } = entry;
  const runs = runningForm(entry, known, guard);
  const differ = differing(entry, runs, guard);
  const kind = mostSerious(Object.values(differ).map((part) => part.kind));
  const isKnown = known !== undefined && isSame(entry, known.whole, guard);
  if (kind === null || (isKnown && known.state !== "off")) return null;
  const approved = runs === null ? null : valuesOf(entryOf(group, name, runs));
  return {
    id,
    group,
    name,
    kind,
    runs,
    approved,
    waiting: valuesOf(entry),
    ...(isKnown && { wasOff: true as const }),
  };
}

/** The form in which the entry runs if it waits; null: it does not run. */
function runningForm(entry: Entry, known: ApprovedEntry | undefined, guard: Guard): Fields | null {
  const { group, whole, parts } = entry;
  if (known?.state !== "runs") return group === "sections" ? closedForm(entry, guard) : null;
  // A field of a later version without a default is as in the file, or null if it would need an approval.
  const later = Object.entries(whole).map(([name, value]) => [name, name in parts ? null : value] as const);
  return { ...Object.fromEntries(later), ...ofToday(known.whole, entry, guard) };
}

/**
 * The form of an unapproved section. The parts that the mode guards are as in an empty file, with three exceptions: no
 * one can sign in or use anything, a page that the file switches off stays off, and the file's port is used, because
 * another program could open a free port and collect the clients' tokens.
 */
function closedForm(entry: Entry, { mode, blank }: Guard): Fields {
  const { id, whole, parts } = entry;
  const { enabled = null } = membersOf(whole["management"] ?? null);
  const management = { ...MANAGEMENT_DEFAULT, enabled: enabled === false ? false : null };
  const { port = null } = whole;
  const closed: Fields = { ...entriesOf(blank).get(id)?.whole, management, port, ...CLOSED[id] };
  const guarded = Object.entries(parts).filter(([, { kind }]) => waits(kind, mode));
  return { ...whole, ...Object.fromEntries(guarded.map(([name]) => [name, closed[name] ?? null])) };
}

const CLOSED: Readonly<Record<string, Fields>> = {
  incoming_auth: { incomingAuth: { type: "local", users: [] } },
  authorization: { authorization: { defaultEffect: "deny", policies: [] } },
  [TRUST]: { pin: "block" },
};

/**
 * Finds entries that were only renamed: approved under an id that the file no longer has, and otherwise equal. Maps each
 * new id to the old one.
 */
function renamedEntries(
  file: MountaineerConfig,
  approvals: Approvals,
  guard: Guard,
): ReadonlyMap<string, string> {
  const inFile = entriesOf(withAllOn(file));
  const left = new Map(
    [...approvals.entries].filter(([id, { state }]) => state !== "off" && !inFile.has(id)),
  );
  const renamed = new Map<string, string>();
  for (const [id, entry] of entriesOf(file)) {
    // Policies refer to a backend's tools by the backend's name, so a new name waits where policies do.
    const isBound = entry.group === "sections" || (entry.group === "backends" && waits("access", guard.mode));
    if (isBound || approvals.entries.has(id)) continue;
    const old = [...left].find(
      ([one, { whole }]) => one.startsWith(`${entry.group}.`) && isSame(entry, whole, guard),
    );
    if (old === undefined) continue;
    left.delete(old[0]);
    renamed.set(id, old[0]);
  }
  return renamed;
}

function valuesOf({ parts }: Entry): Fields {
  return Object.fromEntries(
    Object.entries(parts).map(([name, { value }]): [string, EntryValue] => [name, value]),
  );
}

/**
 * The approvals of the entries that run, and of the removed entries that were remembered last (at most
 * `MOST_REMEMBERED`).
 */
function approvedAs(
  now: ReadonlyMap<string, Entry>,
  before: ReadonlyMap<string, ApprovedEntry>,
): ReadonlyMap<string, ApprovedEntry> {
  const removed = [...before].filter(([id]) => !now.has(id)).slice(-MOST_REMEMBERED);
  return new Map<string, ApprovedEntry>([
    ...removed.map(
      ([id, { whole, state }]) => [id, { whole, state: state === "off" ? "off" : "gone" }] as const,
    ),
    ...[...now].map(([id, { whole }]) => [id, { whole, state: "runs" }] as const),
  ]);
}

function effectiveConfig(file: MountaineerConfig, waiting: readonly WaitingEntry[]): MountaineerConfig {
  if (waiting.length === 0) return file;
  const pending = new Map(waiting.map(({ id, runs }) => [id, runs]));
  const formOf = <T extends { readonly name: string }>(group: EntryGroup, one: T): T | null => {
    const runs = pending.get(`${group}.${one.name}`);
    // An approved form has the type of its entry: it was copied from a configuration, and the sealed file of approvals
    // detects changes.
    return runs === undefined ? one : (runs as T | null);
  };
  const sections = waiting.flatMap(({ id, group, runs }) =>
    group === "sections" && runs !== null ? [[id, runs] as const] : [],
  );
  const shares = file.shares.flatMap((share) => formOf("shares", share) ?? []);
  const shareNames = new Set(shares.map(({ name }) => name));
  const settings = withSections(file, sections);
  // A backend that was never approved is listed, but disabled.
  const backendOf = (declared: DeclaredBackend): DeclaredBackend =>
    formOf("backends", declared) ?? { ...declared, enabled: false };
  return {
    ...settings,
    backends: file.backends.map((backend) =>
      withDefaults(backendOf(declaredOf(backend)), settings.backendDefaults),
    ),
    shares,
    // If a share waits for approval, the links to it also wait.
    aliases: file.aliases
      .flatMap((alias) => formOf("aliases", alias) ?? [])
      .filter(({ share }) => shareNames.has(share)),
  };
}

const STRICTNESS: readonly ApproveMode[] = ["none", "commands", "all"];

/** True if mode `one` holds back at least the entries that mode `other` holds back. */
export function isAsStrict(one: ApproveMode, other: ApproveMode): boolean {
  return STRICTNESS.indexOf(one) >= STRICTNESS.indexOf(other);
}

function stricter(one: ApproveMode, other: ApproveMode): ApproveMode {
  return isAsStrict(one, other) ? one : other;
}

/** Whether a change of this kind needs an approval in this mode. */
export function waits(kind: EntryKind, mode: ApproveMode): boolean {
  if (mode === "none") return false;
  return mode === "all" || kind === "runs" || kind === "approval";
}
