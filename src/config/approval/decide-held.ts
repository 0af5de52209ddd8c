// Which entries of a file wait for a person's approval, and what runs meanwhile: the file, with those entries as they
// were approved. Pure.
import { backendReach, type GuardedPlaces } from "../reach.ts";
import type { EntryKind } from "../schema/schema-keys.ts";
import { mostSerious } from "../schema/settled.ts";
import {
  type ApproveMode,
  type BackendConfig,
  MANAGEMENT_DEFAULT,
  type ManagementConfig,
  type MountaineerConfig,
  type ServerConfig,
  snakeCase,
} from "../snapshot.ts";
import { asApproved, BACKEND_ORDER, inOrder, orderOf, orderWith } from "./backend-order.ts";
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
import { CHOSEN_BELOW } from "./entry-keys.ts";

export type PartValues = Readonly<Record<string, EntryValue>>;

export interface ApprovedEntry {
  /** False: nothing of it runs now, and it may come back as it was. */
  readonly live: boolean;
  readonly parts: PartValues;
  /** A person has switched it off: only a person switches it on again. */
  readonly isOff?: true;
}

/** What a person approves. */
export interface Grant {
  /** Ids of entries of the file, or of entries that are gone. */
  readonly ids: ReadonlySet<string>;
  /** Ids among `ids` that lose their approval, in every version of them. */
  readonly forgets?: ReadonlySet<string>;
  /** The mode of `[trust]` becomes that of the file, even if it is looser. */
  readonly loosens: boolean;
  /** Where `ids` have the order of backends: the names in it. Absent: the backends that run, in the file's order. */
  readonly order?: readonly string[];
}

/** What a home remembers of approvals. */
export interface Approvals {
  readonly mode: ApproveMode;
  /** By the ids of entries. */
  readonly entries: ReadonlyMap<string, ApprovedEntry>;
  /**
   * Names of backends, including those that are off or gone. Absent, in what an earlier version kept: the order of the
   * entries.
   */
  readonly order?: readonly string[];
  /** What was approved is not known any more, so that an entry that is missing here was not approved. */
  readonly lost: boolean;
}

export interface WaitingEntry extends Omit<Entry, "parts"> {
  /** The most serious kind among the parts that wait. */
  readonly kind: EntryKind;
  /** The approved parts that run meanwhile, by the names of those that wait; null: nothing of it runs. */
  readonly approved: PartValues | null;
  readonly waiting: PartValues;
  /** Nothing of it is new, but a person has switched it off. */
  readonly wasOff?: true;
}

export interface HeldInput {
  readonly file: MountaineerConfig;
  /** What runs; null: nothing yet. */
  readonly running: MountaineerConfig | null;
  /** null: the home has never had approvals. */
  readonly approvals: Approvals | null;
  readonly places: GuardedPlaces;
}

export interface Held {
  /** What may run. */
  readonly effective: MountaineerConfig;
  readonly waiting: readonly WaitingEntry[];
  readonly mode: ApproveMode;
  /** What to remember when it runs; null: nothing, because nothing in this home ever waited. */
  readonly approvals: Approvals | null;
}

/** How many entries that are gone are remembered, because they may come back. */
const MOST_REMEMBERED = 200;

/**
 * The mode that the file asks for. If it says nothing: `commands` if a fleet's layer lies under it, or if a backend of
 * the file or of what runs reaches the home.
 */
function askedMode({ file, running, places }: Omit<HeldInput, "approvals">): ApproveMode {
  if (file.trust.approve !== null) return file.trust.approve;
  // A fleet's layer is written on another machine.
  if (file.layer !== undefined) return "commands";
  const backends = [...file.backends, ...(running?.backends ?? [])];
  const reaches = backends.some((backend) => backend.enabled && backendReach(backend, places).length > 0);
  return reaches ? "commands" : "none";
}

export function decideHeld(input: HeldInput): Held {
  const { file, running } = input;
  const asked = isSettled(input) ? input.approvals.mode : askedMode(input);
  if (input.approvals === null && asked === "none") {
    return { effective: file, waiting: [], mode: asked, approvals: null };
  }
  const approvals = input.approvals ?? firstApprovals(running ?? file, asked, running === null);
  const mode = stricter(asked, approvals.mode);
  const judge = (entry: Entry): WaitingEntry | null => judged(entry, approvals, mode, asked);
  const entries = entriesOf(file);
  const held = [...entries.values()].map(judge).filter((entry) => entry !== null);
  const order = waits("access", mode) ? approvedOrder(approvals) : null;
  const unordered = effectiveConfig(file, held);
  const reordered = order === null ? null : waitingOrder(unordered, order);
  const effective = asOrdered(unordered, order);
  const approved = approvedAs(effective === file ? entries : entriesOf(effective), approvals.entries);
  return {
    effective,
    waiting: reordered === null ? held : [...held, reordered],
    mode,
    approvals: {
      mode,
      entries: approved,
      order: rememberedOrder(order, file, effective, approved),
      lost: false,
    },
  };
}

/**
 * At first everything is approved that runs, or else stands in the file, but for what a fleet's layer brings, which
 * nobody at this machine has seen. What is off stays off until a person switches it on.
 */
function firstApprovals(running: MountaineerConfig, mode: ApproveMode, isStart: boolean): Approvals {
  const brought = new Set(isStart ? running.layer?.brings : []);
  const on = new Map([...entriesOf(running)].filter(([id]) => !brought.has(id)));
  const off = [...entriesOf(withAllOn(running)).values()].filter(({ id }) => !on.has(id) && !brought.has(id));
  const entries = new Map<string, ApprovedEntry>([
    ...off.map(({ id, parts }) => [id, { live: false, parts: valuesOf(parts), isOff: true }] as const),
    ...approvedAs(on, new Map()),
  ]);
  const order = running.backends.map(({ name }) => name).filter((name) => !brought.has(`${BACKEND}${name}`));
  return { mode, entries, order, lost: false };
}

function approvedOrder({ entries, order }: Approvals): readonly string[] {
  if (order !== undefined) return order;
  return [...entries].flatMap(([id, { live }]) => (live && isBackend(id) ? [id.slice(BACKEND.length)] : []));
}

const BACKEND = "backends.";

function isBackend(id: string): boolean {
  return id.startsWith(BACKEND);
}

/** null: the backends that may run are in the approved order. */
function waitingOrder(config: MountaineerConfig, approved: readonly string[]): WaitingEntry | null {
  const wanted = orderOf(config);
  const before = asApproved(wanted, approved);
  if (isSameMeaning(before, wanted)) return null;
  return {
    id: BACKEND_ORDER,
    name: BACKEND_ORDER,
    group: "sections",
    kind: "access",
    approved: { order: before },
    waiting: { order: wanted },
  };
}

/** `approved` null: the order waits for nobody, and is the file's. */
function rememberedOrder(
  approved: readonly string[] | null,
  file: MountaineerConfig,
  effective: MountaineerConfig,
  entries: ReadonlyMap<string, ApprovedEntry>,
): readonly string[] {
  const inFile = file.backends.map(({ name }) => name);
  if (approved === null) return inFile;
  const kept = approved.filter((name) => inFile.includes(name) || entries.has(`${BACKEND}${name}`));
  return orderWith(kept, orderOf(effective));
}

/** Reach can only make a home stricter: if it is strict already, reach need not be looked at. */
function isSettled(input: HeldInput): input is HeldInput & { readonly approvals: Approvals } {
  const { file, approvals } = input;
  if (approvals === null || approvals.mode === "none" || file.trust.approve !== null) return false;
  return (approvals.entries.get(TRUST)?.parts["approve"] ?? null) === null;
}

/** The approvals after a person's yes. The mode becomes what the file asks for if the yes `loosens` it. */
export function withApproved(
  approvals: Approvals,
  input: Omit<HeldInput, "approvals">,
  { ids, forgets, loosens, order: placed }: Grant,
): Approvals {
  const inFile = entriesOf(withAllOn(input.file));
  const on = entriesOf(input.file);
  const entries = new Map(approvals.entries);
  const runs = (name: string): boolean => entries.get(`${BACKEND}${name}`)?.live === true;
  // Only the places of backends that run were shown to the person.
  const shown = placed ?? input.file.backends.map(({ name }) => name).filter(runs);
  const order = orderWith(ids.has(BACKEND_ORDER) ? shown : [], approvedOrder(approvals));
  /** Backends that changed after their place in the order was approved: this place counts no more. */
  const others = new Set<string>();
  for (const id of ids) {
    const entry = inFile.get(id);
    const isGone = entry === undefined || forgets?.has(id) === true;
    const known = entries.get(id);
    entries.delete(id);
    if (isGone) continue;
    const parts = valuesOf(entry.parts);
    const isOther = on.has(id) && known?.live !== true && !isSameMeaning(known?.parts, parts);
    if (isOther && placed?.includes(entry.name) !== true) others.add(id);
    entries.set(id, on.has(id) ? { live: true, parts } : { live: false, parts, isOff: true });
  }
  const was = approvals.entries.get(TRUST)?.parts["approve"] ?? null;
  const asksAnew = loosens || (ids.has(TRUST) && input.file.trust.approve !== was);
  return {
    ...approvals,
    entries,
    order: order.filter((name) => !others.has(`${BACKEND}${name}`)),
    mode: asksAnew ? askedMode(input) : approvals.mode,
  };
}

/** The configuration as it would be with all its backends switched on. */
export function withAllOn(config: MountaineerConfig): MountaineerConfig {
  return { ...config, backends: config.backends.map((backend) => ({ ...backend, enabled: true })) };
}

const TRUST = "trust";

function judged(
  entry: Entry,
  approvals: Approvals,
  mode: ApproveMode,
  asked: ApproveMode,
): WaitingEntry | null {
  const known = approvals.entries.get(entry.id);
  const remembered = known?.live === true ? known.parts : null;
  const approved = remembered ?? (approvals.lost ? closedSection(entry.id) : null);
  const tightens = isAsStrict(asked, approvals.mode);
  const covered = Object.entries(entry.parts).filter(
    ([, { kind }]) => waits(kind, mode) && !(kind === "approval" && tightens),
  );
  const differing = covered.filter(([name, { value }]) => !isSameMeaning(approved?.[name], value));
  const listed = approved === null ? covered : differing;
  if (listed.length === 0) return null;
  // A section that was unknown when approvals were remembered, or that has no stricter form to run meanwhile.
  if (entry.group === "sections" && approved === null) return null;
  if (entry.group !== "sections" && isApprovedElsewhere(entry, approvals, mode)) return null;
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

/** Approved under another name, or before it was removed. */
function isApprovedElsewhere(entry: Entry, { entries }: Approvals, mode: ApproveMode): boolean {
  const { group, parts } = entry;
  const covered = Object.entries(parts).filter(([, { kind }]) => waits(kind, mode));
  // Policies refer to the tools of a backend by its name.
  const isBound = group === "backends" && waits("access", mode);
  return [...entries].some(([id, known]) => {
    if (known.isOff === true || (isBound ? id !== entry.id : !id.startsWith(`${group}.`))) return false;
    return covered.every(([name, { value }]) => isSameMeaning(known.parts[name], value));
  });
}

/** The strictest form, for when nobody knows what was approved: nobody comes in, and nobody may do anything. */
function closedSection(id: string): PartValues | null {
  switch (id) {
    case "incoming_auth":
      return { incomingAuth: { type: "local", users: [] }, host: "127.0.0.1" };
    case "authorization":
      return { authorization: { defaultEffect: "deny", policies: [] } };
    case "telemetry":
      return { telemetry: null };
    case "fleet":
      return { fleet: null };
    case "groups":
      return { groups: [] };
    case TRUST:
      return { approve: null, pin: "block" };
    default:
      return null;
  }
}

function valuesOf(parts: EntryParts): PartValues {
  return Object.fromEntries(Object.entries(parts).map(([name, { value }]) => [name, value]));
}

/** All entries of what runs, and earlier ones that are gone; the oldest of those are forgotten. */
function approvedAs(
  now: ReadonlyMap<string, Entry>,
  before: ReadonlyMap<string, ApprovedEntry>,
): ReadonlyMap<string, ApprovedEntry> {
  const gone = [...before].filter(([id]) => !now.has(id)).slice(-MOST_REMEMBERED);
  return new Map<string, ApprovedEntry>([
    ...gone.map(([id, known]) => [id, { ...known, live: false }] as const),
    ...[...now.values()].map(({ id, parts }) => [id, { live: true, parts: valuesOf(parts) }] as const),
  ]);
}

/**
 * The order of backends decides whose name wins when two offer the same, and so who may do what. Where that waits,
 * backends stay in the approved order, and new ones come last.
 */
function asOrdered(config: MountaineerConfig, order: readonly string[] | null): MountaineerConfig {
  if (order === null) return config;
  const backends = inOrder(config.backends, order);
  const isSame = backends.every((backend, index) => backend === config.backends[index]);
  return isSame ? config : { ...config, backends };
}

const NOTHING: PartValues = {};

function effectiveConfig(file: MountaineerConfig, waiting: readonly WaitingEntry[]): MountaineerConfig {
  if (waiting.length === 0) return file;
  const held = new Map(waiting.map((entry) => [entry.id, entry]));
  const partsFor = (id: string): PartValues | null => held.get(id)?.approved ?? null;
  const shares = keptMembers(file.shares, "shares", held);
  const shareNames = new Set(shares.map(({ name }) => name));
  const { incomingAuth, ...address } = partsFor("incoming_auth") ?? NOTHING;
  const sections = WHOLE_SECTIONS.map((key) => [
    key,
    restored({ value: file[key] }, renamed(partsFor(snakeCase(key)), key)).value,
  ]);
  return {
    ...file,
    ...Object.fromEntries(sections),
    backends: file.backends.map((backend) => heldBackend(backend, held.get(`backends.${backend.name}`))),
    shares,
    // A link to a share that waits for approval waits, too.
    aliases: keptMembers(file.aliases, "aliases", held).filter(({ share }) => shareNames.has(share)),
    global: restored(file.global, partsFor("global")),
    incomingAuth: incomingAuth === undefined ? file.incomingAuth : typed(incomingAuth),
    server: file.server === null ? null : heldServer(file.server, address),
    trust: restored(file.trust, partsFor(TRUST)),
  };
}

function heldServer(server: ServerConfig, parts: PartValues): ServerConfig {
  const held = restored<Omit<ServerConfig, "management"> & { management: ManagementConfig | null }>(
    server,
    parts,
  );
  return { ...held, management: held.management ?? MANAGEMENT_DEFAULT };
}

function renamed(parts: PartValues | null, name: string): PartValues | null {
  const value = parts?.[name];
  return value === undefined ? null : { value };
}

/** A backend that was never approved is shown and does not run. */
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

/** The entry with its approved parts. A key that a later version added is null in what an earlier one remembered. */
function restored<T extends object>(one: T, parts: PartValues | null): T {
  if (parts === null) return one;
  const values = Object.entries(parts).map(([name, value]) => {
    const now = (one as Record<string, unknown>)[name];
    return [name, CHOSEN_BELOW.has(name) ? value : filled(value, now)] as const;
  });
  // The remembered values came from a configuration of this type, and are sealed.
  return { ...one, ...Object.fromEntries(values) };
}

function filled(value: EntryValue, now: unknown): EntryValue {
  if (typeof value !== "object" || value === null || isList(value)) return value;
  if (typeof now !== "object" || now === null || Array.isArray(now)) return value;
  const isOther = "type" in now && now.type !== value["type"];
  if (isOther) return value;
  const added = Object.keys(now).filter((key) => !(key in value));
  return { ...Object.fromEntries(added.map((key) => [key, null])), ...value };
}

/** The type is the key's own, as in `restored`: the value came from a configuration that was read. */
function typed<T>(value: EntryValue): T {
  return value as T;
}

const STRICTNESS: readonly ApproveMode[] = ["none", "commands", "all"];

/** True when `one` lets more wait than `other`, or as much. */
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
