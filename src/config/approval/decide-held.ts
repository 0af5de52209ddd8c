// Decides which entries of a file wait for a person's approval, and which configuration runs meanwhile: the
// file, with each waiting entry in its approved form. Pure.
import { backendReach, type GuardedPlaces } from "../reach.ts";
import type { EntryKind } from "../schema/schema-keys.ts";
import { mostSerious } from "../schema/settled.ts";
import {
  type ApproveMode,
  type BackendConfig,
  MANAGEMENT_DEFAULT,
  type MountaineerConfig,
  SERVER_DEFAULT,
  type ServerConfig,
  snakeCase,
} from "../snapshot.ts";
import { BACKEND_ORDER, inOrder, orderOf, orderWith } from "./backend-order.ts";
import {
  type Entry,
  type EntryGroup,
  type EntryParts,
  type EntryValue,
  entriesOf,
  isList,
  isSameMeaning,
  WHOLE_SECTIONS,
} from "./entries.ts";
import { CHOSEN_BELOW, membersOf } from "./entry-keys.ts";

export type PartValues = Readonly<Record<string, EntryValue>>;

export interface ApprovedEntry {
  /** False: the entry does not run now. It may return without a new approval if its parts equal `parts`. */
  readonly live: boolean;
  readonly parts: PartValues;
  /** True: a person has disabled the entry, and only a person may enable it again. */
  readonly isOff?: true;
}

export interface Grant {
  /** The ids of the entries to approve. An entry that the file no longer has loses its approval instead. */
  readonly ids: ReadonlySet<string>;
  /** Those of `ids` that this grant does not approve. If they have an approval, it is removed. */
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
  readonly entries: ReadonlyMap<string, ApprovedEntry>;
  /** The approved order: names of backends, including disabled and removed ones. */
  readonly order: readonly string[];
  /**
   * True: the earlier approvals could not be read, so entries that are missing here count as not approved.
   */
  readonly lost: boolean;
}

export interface WaitingEntry extends Omit<Entry, "parts"> {
  /** The most serious kind among the parts that wait. */
  readonly kind: EntryKind;
  /**
   * The approved values of the waiting parts. They run until the waiting values are approved; null: the entry does
   * not run.
   */
  readonly approved: PartValues | null;
  readonly waiting: PartValues;
  /** Every part was approved before, but a person has switched the entry off. */
  readonly wasOff?: true;
}

export interface HeldInput {
  readonly file: MountaineerConfig;
  /** The configuration that runs; null: none yet. */
  readonly running: MountaineerConfig | null;
  /** null: the home has never recorded approvals. */
  readonly approvals: Approvals | null;
  readonly places: GuardedPlaces;
}

export interface Held {
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
 * Maximum number of removed entries whose approvals are remembered, so that they may come back without a new
 * one.
 */
const MOST_REMEMBERED = 200;

/**
 * The mode that the file asks for. If the file has no key `approve`: `commands` if a fleet's shared
 * configuration (its layer) is merged into the file, or if a backend of the file or of the running
 * configuration reaches the home; else `none`.
 */
function askedMode({ file, running, places }: Omit<HeldInput, "approvals">): ApproveMode {
  if (file.trust.approve !== null) return file.trust.approve;
  // Another machine wrote the fleet's layer, so the programs in it need an approval on this machine.
  if (file.layer !== undefined) return "commands";
  const backends = [...file.backends, ...(running?.backends ?? [])];
  const reaches = backends.some((backend) => backend.enabled && backendReach(backend, places).length > 0);
  return reaches ? "commands" : "none";
}

export function decideHeld(input: HeldInput): Held {
  const { file, running } = input;
  const asked = askedMode(input);
  if (input.approvals === null && asked === "none") {
    return { effective: file, waiting: [], mode: asked, approvals: null };
  }
  const approvals = input.approvals ?? firstApprovals(running ?? file, asked, running === null);
  const mode = stricter(asked, approvals.mode);
  const tightens = isAsStrict(asked, approvals.mode);
  const fileEntries = entriesOf(file);
  const held = [...fileEntries.values()].flatMap((entry) => {
    return waitingEntry(entry, approvals, mode, tightens) ?? [];
  });
  const order = waits("access", mode) ? approvals.order : null;
  const unordered = effectiveConfig(file, held);
  const effective = order === null ? unordered : inOrder(unordered, order);
  const entries = approvedAs(effective === file ? fileEntries : entriesOf(effective), approvals.entries);
  return {
    effective,
    waiting: [...held, ...waitingOrder(unordered, effective)],
    mode,
    approvals: { mode, entries, order: rememberedOrder(order, file, effective, entries), lost: false },
  };
}

/**
 * The first approvals of a home. Everything that runs counts as approved; at a start, this is the whole file except
 * entries of a fleet's layer, which nobody at this machine has seen. Disabled backends count as switched off by a
 * person.
 */
function firstApprovals(running: MountaineerConfig, mode: ApproveMode, isStart: boolean): Approvals {
  const brought = new Set(isStart ? running.layer?.brings : []);
  const on = new Map([...entriesOf(running)].filter(([id]) => !brought.has(id)));
  const off = [...entriesOf(withAllOn(running)).values()].filter(({ id }) => !on.has(id) && !brought.has(id));
  const switchedOff = off.map((entry) => [entry.id, switchedOffEntry(entry)] as const);
  const entries = new Map([...switchedOff, ...approvedAs(on, new Map())]);
  const order = running.backends.map(({ name }) => name);
  return { mode, entries, order, lost: false };
}

const BACKEND = "backends.";

/** Returns the waiting entry for the order of backends; empty if the running order is already that of the file. */
function waitingOrder(wanted: MountaineerConfig, effective: MountaineerConfig): readonly WaitingEntry[] {
  const [approved, waiting] = [{ order: orderOf(effective) }, { order: orderOf(wanted) }];
  if (isSameMeaning(approved, waiting)) return [];
  return [{ id: BACKEND_ORDER, name: BACKEND_ORDER, group: "sections", kind: "access", approved, waiting }];
}

/** The order to remember. `approved` null: the order needs no approval, so the file's order is remembered. */
function rememberedOrder(
  approved: readonly string[] | null,
  file: MountaineerConfig,
  effective: MountaineerConfig,
  entries: ReadonlyMap<string, ApprovedEntry>,
): readonly string[] {
  if (approved === null) return file.backends.map(({ name }) => name);
  const kept = approved.filter((name) => entries.has(`${BACKEND}${name}`));
  return orderWith(kept, orderOf(effective));
}

/**
 * The approvals after a person's grant. The approval mode becomes that of the file if `loosens` is
 * set, or if the person approves a new value of `approve` in `[trust]`; otherwise it stays as it was.
 */
export function withApproved(
  approvals: Approvals,
  input: Omit<HeldInput, "approvals">,
  { ids, forgets, loosens, order: placed }: Grant,
): Approvals {
  const inFile = entriesOf(withAllOn(input.file));
  const on = entriesOf(input.file);
  const entries = new Map(approvals.entries);
  const runs = (name: string): boolean => entries.get(`${BACKEND}${name}`)?.live === true;
  // Without `placed`, the person saw only the order of the running backends.
  const shown = placed ?? input.file.backends.map(({ name }) => name).filter(runs);
  const order = orderWith(ids.has(BACKEND_ORDER) ? shown : [], approvals.order);
  /**
   * Ids of backends whose name belonged to another approved backend. They do not inherit the place of that backend in
   * the order.
   */
  const replaced = new Set<string>();
  for (const id of ids) {
    const entry = inFile.get(id);
    const known = entries.get(id);
    entries.delete(id);
    if (entry === undefined || forgets?.has(id) === true) continue;
    const parts = valuesOf(entry.parts);
    const isReplaced = on.has(id) && known?.live !== true && !isSameMeaning(known?.parts, parts);
    if (isReplaced && placed?.includes(entry.name) !== true) replaced.add(id);
    entries.set(id, on.has(id) ? { live: true, parts } : switchedOffEntry(entry));
  }
  const was = approvals.entries.get(TRUST)?.parts["approve"] ?? null;
  const isAskedAnew = loosens || (ids.has(TRUST) && input.file.trust.approve !== was);
  return {
    ...approvals,
    entries,
    order: order.filter((name) => !replaced.has(`${BACKEND}${name}`)),
    mode: isAskedAnew ? askedMode(input) : approvals.mode,
  };
}

/** Returns `config` with every backend enabled. */
export function withAllOn(config: MountaineerConfig): MountaineerConfig {
  return { ...config, backends: config.backends.map((backend) => ({ ...backend, enabled: true })) };
}

const TRUST = "trust";
/** The id of the entry that holds `[incoming_auth]` and the keys of `[server]` that need an approval. */
const SIGN_IN = "incoming_auth";

function switchedOffEntry({ parts }: Entry): ApprovedEntry {
  return { live: false, parts: valuesOf(parts), isOff: true };
}

/**
 * Returns the entry with only those parts that wait for approval; null if none waits. `tightens`: the file's mode is
 * at least as strict as the approved one, so the mode itself needs no approval.
 */
function waitingEntry(
  entry: Entry,
  approvals: Approvals,
  mode: ApproveMode,
  tightens: boolean,
): WaitingEntry | null {
  const known = approvals.entries.get(entry.id);
  const remembered = known?.live === true ? known.parts : null;
  const approved = remembered ?? (approvals.lost ? closedForm(entry) : null);
  const covered = Object.entries(entry.parts).filter(
    ([, { kind }]) => waits(kind, mode) && !(kind === "approval" && tightens),
  );
  const differing = covered.filter(([name, { value }]) => !isSameMeaning(approved?.[name], value));
  const listed = approved === null ? covered : differing;
  if (listed.length === 0) return null;
  // A section without approved values does not wait: it is newer than the approvals, or has no strictest form
  // that could run meanwhile.
  if (entry.group === "sections" && approved === null) return null;
  if (isApprovedElsewhere(entry, approvals, mode)) return null;
  const waiting = Object.fromEntries(listed.map(([name, { value }]) => [name, value]));
  const before =
    approved === null
      ? null
      : {
          ...Object.fromEntries(listed.map(([name]) => [name, approved[name] ?? null])),
          ...droppedRoutes(entry, approved, listed),
        };
  const { id, group, name } = entry;
  const kind = mostSerious(listed.map(([, part]) => part.kind)) ?? "runs";
  const isKnown = covered.every(([part, { value }]) => isSameMeaning(known?.parts[part], value));
  const wasOff = known?.isOff === true && isKnown ? ({ wasOff: true } as const) : {};
  return { id, group, name, kind, approved: before, waiting, ...wasOff };
}

/** The routes that a backend keeps until a person approves the edit that replaces them with a single connection. */
function droppedRoutes(
  { group, parts }: Entry,
  approved: PartValues,
  listed: readonly (readonly [string, unknown])[],
): PartValues {
  const routes = approved["routes"] ?? null;
  const isDropped = group === "backends" && routes !== null && parts["routes"] === undefined;
  return isDropped && listed.some(([name]) => name === "connection") ? { routes } : NOTHING;
}

/** Whether the same parts were approved under another name, or before the entry was removed. */
function isApprovedElsewhere(entry: Entry, { entries }: Approvals, mode: ApproveMode): boolean {
  const { group, parts } = entry;
  const covered = Object.entries(parts).filter(([, { kind }]) => waits(kind, mode));
  // Policies refer to a backend's tools by the backend's name. Therefore an approval under another name does not
  // count if policies need approval.
  const isBound = group === "backends" && waits("access", mode);
  return [...entries].some(([id, known]) => {
    if (known.isOff === true || (isBound ? id !== entry.id : !id.startsWith(`${group}.`))) return false;
    return covered.every(([name, { value }]) => isSameMeaning(known.parts[name], value));
  });
}

/** The strictest form of each section, for lost approvals: nobody signs in, and nobody may use anything. */
const CLOSED_SECTIONS: ReadonlyMap<string, PartValues> = new Map<string, PartValues>([
  ["incoming_auth", { incomingAuth: { type: "local", users: [] }, host: "127.0.0.1" }],
  ["authorization", { authorization: { defaultEffect: "deny", policies: [] } }],
  ["telemetry", { telemetry: null }],
  ["fleet", { fleet: null }],
  ["groups", { groups: [] }],
  ["profiles", { profiles: [] }],
  ["audit", { audit: null }],
  [TRUST, { approve: null, pin: "block" }],
]);

/** The form of an entry while approvals are lost. A page that the file switches off stays off. */
function closedForm({ id, parts }: Entry): PartValues | null {
  const closed = CLOSED_SECTIONS.get(id) ?? null;
  const { enabled = null } = membersOf(parts["management"]?.value ?? null);
  return closed !== null && enabled === false
    ? { ...closed, management: { ...MANAGEMENT_DEFAULT, enabled } }
    : closed;
}

function valuesOf(parts: EntryParts): PartValues {
  return Object.fromEntries(Object.entries(parts).map(([name, { value }]) => [name, value]));
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
    ...removed.map(([id, known]) => [id, { ...known, live: false }] as const),
    ...[...now.values()].map(({ id, parts }) => [id, { live: true, parts: valuesOf(parts) }] as const),
  ]);
}

const NOTHING: PartValues = {};

function effectiveConfig(file: MountaineerConfig, waiting: readonly WaitingEntry[]): MountaineerConfig {
  if (waiting.length === 0) return file;
  const held = new Map(waiting.map((entry) => [entry.id, entry]));
  const partsFor = (id: string): PartValues => held.get(id)?.approved ?? NOTHING;
  const shares = keptMembers(file.shares, "shares", held);
  const shareNames = new Set(shares.map(({ name }) => name));
  const { incomingAuth, ...server } = partsFor(SIGN_IN);
  const sections = [
    ...WHOLE_SECTIONS.map((key) => partsFor(snakeCase(key))),
    incomingAuth === undefined ? NOTHING : { incomingAuth },
  ];
  return {
    ...restored(file, Object.assign({}, ...sections)),
    backends: file.backends.map((backend) => heldBackend(backend, held.get(`backends.${backend.name}`))),
    shares,
    // If a share waits for approval, the links to it wait, too.
    aliases: keptMembers(file.aliases, "aliases", held).filter(({ share }) => shareNames.has(share)),
    global: restored(file.global, partsFor("global")),
    // Without `[server]` the defaults apply, which may be looser than the approved keys.
    server:
      Object.keys(server).length === 0 ? file.server : heldServer(file.server ?? SERVER_DEFAULT, server),
    trust: restored(file.trust, partsFor(TRUST)),
  };
}

/**
 * Returns `[server]` with its approved parts. If `management` is null in these parts, the defaults of `management`
 * apply.
 */
function heldServer(server: ServerConfig, parts: PartValues): ServerConfig {
  const isDefault = parts["management"] === null;
  return restored(server, isDefault ? { ...parts, management: MANAGEMENT_DEFAULT } : parts);
}

/** A backend that was never approved is listed, but disabled. */
function heldBackend(backend: BackendConfig, held: WaitingEntry | undefined): BackendConfig {
  if (held === undefined) return backend;
  return held.approved === null ? { ...backend, enabled: false } : restored(backend, held.approved);
}

function keptMembers<T extends { readonly name: string }>(
  members: readonly T[],
  group: EntryGroup,
  held: ReadonlyMap<string, WaitingEntry>,
): readonly T[] {
  return members.flatMap((one) => {
    const entry = held.get(`${group}.${one.name}`);
    if (entry === undefined) return [one];
    return entry.approved === null ? [] : [restored(one, entry.approved)];
  });
}

/** Returns `one` with the approved `parts` in place of its present values. */
function restored<T extends object>(one: T, parts: PartValues): T {
  const values = Object.entries(parts).map(([name, value]) => {
    const now = (one as Record<string, unknown>)[name];
    return [name, CHOSEN_BELOW.has(name) ? value : filled(value, now)] as const;
  });
  // The values have the types of T: they were copied from a configuration, and the sealed file of approvals detects
  // changes.
  return { ...one, ...Object.fromEntries(values) };
}

/** Returns `value`, with null added for each key that only `now` has, because it is newer than the approval. */
function filled(value: EntryValue, now: unknown): EntryValue {
  if (typeof value !== "object" || value === null || isList(value)) return value;
  if (typeof now !== "object" || now === null) return value;
  const isOther = "type" in now && now.type !== value["type"];
  if (isOther) return value;
  const added = Object.keys(now).filter((key) => !(key in value));
  return { ...Object.fromEntries(added.map((key) => [key, null])), ...value };
}

const STRICTNESS: readonly ApproveMode[] = ["none", "commands", "all"];

/** True if mode `one` holds back at least the entries that mode `other` holds back. */
export function isAsStrict(one: ApproveMode, other: ApproveMode): boolean {
  return STRICTNESS.indexOf(one) >= STRICTNESS.indexOf(other);
}

function stricter(one: ApproveMode, other: ApproveMode): ApproveMode {
  return isAsStrict(one, other) ? one : other;
}

export function waits(kind: EntryKind, mode: ApproveMode): boolean {
  if (mode === "none") return false;
  return mode === "all" || kind === "runs" || kind === "approval";
}
