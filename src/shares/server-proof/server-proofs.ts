// Verifies the server identity of each route of a share. Both routes may lead to one server, or to two servers. Each
// known server has an id.

import type { ProbeEndpoint } from "../../network/probe/host-probe.ts";
import type { HostProber } from "../../network/probe/probe-result.ts";
import { createSemaphore } from "../../network/probe/single-flight.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  type CaseFolding,
  isDiskFull,
  type StateFolderTools,
  UNKNOWN_CASE_FOLDING,
} from "../drivers/share-files.ts";
import { createLogins, type Logins } from "../logins/logins.ts";
import { preferredRoute, type RouteName, routesOf, type ShareSpec } from "../share-spec.ts";
import { isSameShareName, sourceOf } from "../smb-source.ts";
import { spelledOtherwise } from "./case-folding.ts";
import { compareReadings, READINGS_AT_MOST, type Reading, type SideReading } from "./comparison.ts";
import {
  createKnownServers,
  type KnownServer,
  type KnownServers,
  newServerId,
  type ServerFingerprint,
} from "./known-servers.ts";
import { type CreationTimes, recognizeRoot, serverFingerprint, steadiest } from "./recognition.ts";
import type { RootListing } from "./root-listing.ts";
import {
  createRootReader,
  isPlainName,
  type ProofProgram,
  type ReadFailure,
  type ReadRequest,
  type RootReader,
} from "./root-reader.ts";

/** The address that answered the newest probe of a route. */
export interface ProofEndpoint extends ProbeEndpoint {
  /** The configured name of the address; null or absent: none. */
  readonly host?: string | null;
  /** 32 hex digits; null: the server's answer had none. */
  readonly serverGuid: string | null;
}

/** `text`: one line for people with the evidence, or with what is missing. */
export type ProofResult =
  /** `server`: id of the server. */
  | { readonly kind: "same"; readonly server: string }
  /** `server`: id of the server that answers instead of the expected one; absent: unknown. */
  | { readonly kind: "different"; readonly text: string; readonly server?: string }
  /**
   * `isBlank`: the expected server was never proved, so nothing can identify it. `isEmpty`: the share has no entry that
   * could identify its server.
   */
  | { readonly kind: "unproved"; readonly text: string; readonly isBlank?: true; readonly isEmpty?: true };

/**
 * At most four proofs run at once, and at most one for each share. A proof takes at most 12 s, then ends as
 * `unproved`. Rejects only when the signal aborts.
 */
export type ServerProofs = ReturnType<typeof createServerProofs>;

export interface ServerProofOptions extends StateFolderTools {
  /** Folders in which programs are searched; default: PATH. */
  readonly programFolders?: () => readonly string[];
  /**
   * Whether a password is sent only in a signed session. Only smbclient can insist on that, so rclone then
   * reads only as a guest. Default: no.
   */
  readonly signsLogins?: boolean;
  /** Default: a new one, which knows only the logins that the proofs make. */
  readonly logins?: Logins;
  /** Gets the ServerGuid again after the root was read. Absent: the first ServerGuid counts. */
  readonly hostProber?: Pick<HostProber, "probe">;
  /** Default: reads by programs. */
  readonly reader?: RootReader;
  /** Default: the known servers in the state folder. */
  readonly known?: KnownServers;
}

const PROOFS_AT_ONCE = 4;
const GUID_AGAIN_MS = 1_000;
const DEADLINE_MS = 10_000;

export interface Expected {
  /** The mount's server; null if there is no mount, so that any server is accepted. */
  readonly server: string | null;
  /** The server of the other route, if an earlier proof found that this route leads to a different server. */
  readonly not?: string | null;
  /**
   * Returns false if the server was lost during the proof, which makes the reading invalid. Absent: not
   * known.
   */
  readonly isSteady?: () => boolean;
}

/** Pause between readings, ms; long enough to notice a file that is being written. */
const BETWEEN_READINGS_MS = 1_000;
/** Maximum number of entries whose creation times are read: each costs four requests, and a few may be deleted later. */
const CREATION_TIMES_AT_MOST = 16;
const INSTALL = "install rclone or smbclient";

export function createServerProofs(options: ServerProofOptions) {
  const { clock, logger, stateFolder, hostProber, programFolders, logins = createLogins(clock) } = options;
  const folders = programFolders === undefined ? {} : { folders: programFolders };
  const {
    reader = createRootReader({ clock, stateFolder, logins, ...folders }),
    known = createKnownServers(stateFolder),
  } = options;
  const { signsLogins = false } = options;
  const programsFor = async ({ password }: ShareSpec): Promise<readonly ProofProgram[]> =>
    (await reader.programs()).filter((one) => one === "smbclient" || password === null || !signsLogins);
  const install = signsLogins ? "install smbclient, which signs the login" : INSTALL;
  const semaphore = createSemaphore(PROOFS_AT_ONCE);
  const turns = new Map<string, ReturnType<typeof createSemaphore>>();
  const inTurn = ({ name }: ShareSpec, work: () => Promise<ProofResult>): Promise<ProofResult> => {
    const turn = turns.get(name) ?? createSemaphore(1);
    turns.set(name, turn);
    return turn.use(() => semaphore.use(work));
  };

  /** Whether the address still shows the same ServerGuid. If so, what was just read there came from that server. */
  const isStill = async ({ address: host, port, serverGuid }: ProofEndpoint): Promise<boolean> => {
    const now = { notBeforeMs: clock.monotonicMs(), timeoutMs: GUID_AGAIN_MS };
    const probe = await hostProber?.probe({ host, port, interfaceName: null }, now);
    return probe === undefined || probe.serverGuid === serverGuid;
  };

  return {
    /**
     * Reads the share's root over both routes, and identifies the server if both roots are the same. `isSteady` returns
     * false if the server in use was lost during the call. `inUse`: the id of the server to which the route in use has
     * led all the time; null: none.
     */
    compare(
      share: ShareSpec,
      endpoints: Readonly<Record<RouteName, ProofEndpoint>>,
      inUse: string | null,
      isSteady: () => boolean,
      signal: AbortSignal,
    ): Promise<ProofResult> {
      return inTurn(share, async () => {
        signal.throwIfAborted();
        const serverGuid = commonGuid(share, endpoints);
        if (typeof serverGuid !== "string") return serverGuid;
        const programs = await programsFor(share);
        const early = cannotRead(share, programs, install);
        if (early !== null) return early;
        const deadlineAtMs = clock.monotonicMs() + DEADLINE_MS;
        const request = (route: RouteName): ReadRequest => ({
          ...{ share, route, endpoint: endpoints[route], deadlineAtMs, signal },
        });
        const requests = [request("tb"), request("fallback")] as const;
        const compared = await compareRoots({ clock, reader, programs, requests });
        if ("kind" in compared) return compared;
        const areStill = (await Promise.all([endpoints.tb, endpoints.fallback].map(isStill))).every(Boolean);
        if (!areStill || !isSteady())
          return unproved(`the server of ${bothSources(share)} was lost during the check`);
        const root = { serverGuid, ...compared };
        const source = sourceAt(share, endpoints.tb);
        const more = async (): Promise<null> => null;
        const reading = { reader, programs, request: requests[0] };
        return await identify(known, share, {
          root,
          more,
          reading,
          source,
          certain: inUse,
          expected: { server: null },
        });
      });
    },

    /** Identifies the server behind one route. `different`: the server is not the expected one. */
    recognise(
      share: ShareSpec,
      route: RouteName,
      endpoint: ProofEndpoint,
      expected: Expected,
      signal: AbortSignal,
    ): Promise<ProofResult> {
      return inTurn(share, async () => {
        signal.throwIfAborted();
        const source = sourceAt(share, endpoint);
        const { serverGuid } = endpoint;
        const servers = await known.list(share);
        const witness = servers.find(({ id }) => id === expected.server)?.witness ?? null;
        if (expected.server !== null && witness === null)
          return { ...unproved(`nothing is known yet of the server behind ${source}`), isBlank: true };
        if (serverGuid === null) return unproved(`${source} does not show its ServerGuid`);
        const isOther = witness !== null && serverGuid !== witness.serverGuid;
        const guids = `its ServerGuid is ${serverGuid}, not ${witness?.serverGuid}`;
        const other = isOther ? different(`${source} leads to another server than before: ${guids}`) : null;
        const programs = await programsFor(share);
        const early = cannotRead(share, programs, install);
        if (early !== null) return other ?? early;
        const deadlineAtMs = clock.monotonicMs() + DEADLINE_MS;
        const born = new Set(candidates(servers, share, serverGuid).flatMap(ownCreationTimes));
        const request = { share, route, endpoint, deadlineAtMs, signal };
        const read = await readAgain(reader, programs, [...born], request);
        if (read.kind === "failed")
          return other ?? unproved(`${source} cannot be listed: ${printable(read.text)}`);
        if (!(await isStill(endpoint)) || expected.isSteady?.() === false)
          return unproved(`the server of ${source} was lost during the check`);
        const root = { serverGuid, listing: read.listing, creationTimes: read.creationTimes };
        const more = async (): Promise<CreationTimes | null> => {
          if (!programs.includes("smbclient")) return null;
          const creationTimes = await reader.creationTimes(request, plainNames(read.listing), false);
          return creationTimes.kind === "read" ? creationTimes.creationTimes : null;
        };
        const reading = { reader, programs, request };
        const found = await identify(known, share, { root, more, reading, source, certain: null, expected });
        return found.kind === "different" && other?.kind === "different"
          ? { ...found, text: other.text }
          : found;
      });
    },

    /** Gives an id to a server that is mounted before it is proved. Rejects with the system's error. */
    async begin(share: ShareSpec, route: RouteName): Promise<string> {
      const id = newServerId();
      const { shareName } = share;
      await known.keep(share, {
        id,
        shareName,
        source: sourceOf(share.routes[route], shareName),
        witness: null,
      });
      return id;
    },

    /** Removes the login files that killed processes have left, for all shares. Never rejects. */
    removeLeftovers: (): Promise<void> => reader.removeLeftovers(logger),
  };
}

interface Root {
  readonly serverGuid: string;
  readonly listing: RootListing;
  readonly creationTimes: CreationTimes | null;
}

interface Identifying {
  readonly root: Root;
  /**
   * Reads the creation times of more entries in the root. Called only for a server whose evidence is not stored yet.
   * null: the times cannot be read.
   */
  readonly more: () => Promise<CreationTimes | null>;
  readonly reading: FoldingReading;
  readonly source: string;
  /** The server's id if it is known without reading the share's root folder; null if that folder has to be read. */
  readonly certain: string | null;
  readonly expected: Expected;
}

/** Finds the server of the root among the known servers, or adds it as a new one. */
async function identify(
  known: KnownServers,
  share: ShareSpec,
  { root, more, reading, source, certain, expected }: Identifying,
): Promise<ProofResult> {
  const { serverGuid, listing, creationTimes } = root;
  const { shareName } = share;
  if (listing.count === 0) return { ...unproved(`${source} is empty`), isEmpty: true };
  const servers = await known.list(share);
  const keep = async (id: string): Promise<Extract<ProofResult, { kind: "same" }>> => {
    const before = servers.find((server) => server.id === id)?.witness ?? null;
    const steady = before?.serverGuid === serverGuid ? before : null;
    const born =
      steady === null ? new Map([...(creationTimes ?? []), ...((await more()) ?? [])]) : creationTimes;
    const folding = await foldingOf(reading, listing, before?.folding ?? UNKNOWN_CASE_FOLDING);
    const witness = { ...serverFingerprint(serverGuid, listing, born, steady), folding };
    try {
      await known.keep(share, { id, shareName, source, witness });
    } catch (error) {
      // The disk is full, but the earlier evidence about the server is still valid.
      if (before === null || !isDiskFull(error)) throw error;
    }
    return { kind: "same", server: id };
  };
  if (servers.some(({ id, witness }) => id === certain && witness !== null)) return keep(certain ?? "");
  const likely = candidates(servers, share, serverGuid).map(({ id, witness }) => ({
    id,
    recognised: recognizeRoot(witness, listing, creationTimes),
    lacksCreation: creationTimes === null && witness.rootCreatedMs !== null,
  }));
  // An earlier proof found that this route does not lead to `not`, the server of the other route. Only matching
  // creation times outweigh that proof.
  const same = likely.flatMap(({ id, recognised }) =>
    recognised.kind === "same" && (id !== expected.not || recognised.by === "creation")
      ? [{ id, by: recognised.by }]
      : [],
  );
  const excluded = likely.find(({ id }) => id === expected.not);
  if (excluded?.lacksCreation === true && excluded.recognised.kind === "same")
    return unproved(`${source} does not tell now when it was created`);
  const born = same.filter(({ by }) => by === "creation");
  const [only, ...others] = born.length > 0 ? born : same;
  if (others.length > 0) return unproved(`${source} looks like ${others.length + 1} servers that are known`);
  if (expected.server !== null && only?.id !== expected.server) {
    const own = likely.find(({ id }) => id === expected.server)?.recognised;
    const text = own === undefined || own.kind === "same" ? "leads to another server than before" : own.text;
    if (own?.kind === "unproved" && only === undefined) return unproved(`${source} ${text}`);
    const { server } = await keep(only?.id ?? newServerId());
    return { kind: "different", text: `${source} ${text}`, server };
  }
  // If no recorded server matches, this evidence is stored for the server in use (`certain`), which was mounted
  // before it was proved.
  return await keep(only?.id ?? certain ?? newServerId());
}

interface FoldingReading {
  readonly reader: RootReader;
  readonly programs: readonly ProofProgram[];
  readonly request: ReadRequest;
}

/**
 * Which spellings of names the server treats as one: looked up by an entry, otherwise as known `before`. Known values
 * are also looked up, because the server's settings may have changed.
 */
async function foldingOf(
  { reader, programs, request }: FoldingReading,
  listing: RootListing,
  before: CaseFolding,
): Promise<CaseFolding> {
  const program = programs.find((one) => one === "smbclient") ?? "rclone";
  const isPlain = program === "smbclient" ? isPlainName : () => true;
  const shown = async (kind: keyof CaseFolding): Promise<boolean | null> => {
    const pair = spelledOtherwise(kind, listing, isPlain);
    return (pair && (await reader.findsAs(program, request, pair))) ?? before[kind];
  };
  return { case: await shown("case"), form: await shown("form") };
}

type Candidate = KnownServer & { readonly witness: ServerFingerprint };

function candidates(servers: readonly KnownServer[], share: ShareSpec, serverGuid: string): Candidate[] {
  return servers.flatMap((server) => {
    const { witness, shareName } = server;
    return witness?.serverGuid === serverGuid && isSameShareName(shareName, share.shareName)
      ? [{ ...server, witness }]
      : [];
  });
}

/** Names of the entries whose creation times are known. */
function ownCreationTimes({ witness }: Candidate): readonly string[] {
  const own = witness.entries.filter(({ createdMs }) => createdMs !== null);
  return own.slice(0, CREATION_TIMES_AT_MOST).map(({ name }) => name);
}

/** The ServerGuid of both routes, or the verdict if they differ or are not known. */
function commonGuid(
  share: ShareSpec,
  { tb, fallback }: Readonly<Record<RouteName, ProofEndpoint>>,
): string | ProofResult {
  if (tb.serverGuid === null || fallback.serverGuid === null) {
    const source = sourceOn(share, tb.serverGuid === null ? "tb" : "fallback");
    return unproved(`${source} does not show its ServerGuid`);
  }
  if (tb.serverGuid === fallback.serverGuid) return tb.serverGuid;
  const guids = `their ServerGuids are ${tb.serverGuid} and ${fallback.serverGuid}`;
  return different(`${bothSources(share)} are two servers: ${guids}`);
}

function cannotRead(
  share: ShareSpec,
  programs: readonly ProofProgram[],
  install: string,
): ProofResult | null {
  if (share.missingVariable !== null) return unproved(`${bothSources(share)}: the password is missing`);
  if (programs.length > 0) return null;
  return unproved(`nothing here can list ${bothSources(share)}: ${install}`);
}

type Requests = readonly [ReadRequest, ReadRequest];

interface ComparingParts {
  readonly clock: Clock;
  readonly reader: RootReader;
  readonly programs: readonly ProofProgram[];
  readonly requests: Requests;
}

/** Returns the first route's reading if both agree; otherwise the verdict. */
async function compareRoots(parts: ComparingParts): Promise<ProofResult | SideReading> {
  const { clock, requests } = parts;
  const { share } = requests[0];
  const sources = bothSources(share);
  const readings: Reading[] = [];
  for (let count = 0; count < READINGS_AT_MOST; count += 1) {
    if (count > 0) await clock.sleep(BETWEEN_READINGS_MS, requests[0].signal);
    const both = await readBoth(parts);
    if ("failed" in both) {
      const source = sourceOn(share, both.route);
      return unproved(`${source} cannot be listed: ${printable(both.failed.text)}`);
    }
    readings.push(both);
    const compared = compareReadings(readings);
    if (compared.kind === "same") return both[0];
    if (compared.kind === "different") return different(`${sources} ${compared.text}`);
    if (compared.kind === "empty") return { ...unproved(`${sources} are empty`), isEmpty: true };
  }
  return unproved(`all entries of ${sources} keep changing`);
}

interface FailedRoute {
  readonly failed: ReadFailure;
  readonly route: RouteName;
}

/**
 * Lists both routes at the same time, with the first program that can list them. Then reads creation times if
 * possible.
 */
async function readBoth({ reader, programs, requests }: ComparingParts): Promise<Reading | FailedRoute> {
  let failure: FailedRoute | null = null;
  for (const program of programs) {
    const [one, other] = await bothEnded(
      reader.list(program, requests[0]),
      reader.list(program, requests[1]),
    );
    if (one.kind === "read" && other.kind === "read") {
      const creationTimes = programs.includes("smbclient")
        ? await bothCreationTimes(reader, requests, one.listing)
        : null;
      return [
        { listing: one.listing, creationTimes: creationTimes?.[0] ?? null },
        { listing: other.listing, creationTimes: creationTimes?.[1] ?? null },
      ];
    }
    const failed = one.kind === "failed" ? one : other;
    if (failed.kind !== "failed") continue;
    failure ??= { failed, route: requests[one.kind === "failed" ? 0 : 1].route };
    if (failed.isRefusedLogin) break;
  }
  return failure ?? { failed: { kind: "failed", text: INSTALL, isRefusedLogin: false }, route: "tb" };
}

async function bothCreationTimes(
  reader: RootReader,
  requests: Requests,
  listing: RootListing,
): Promise<readonly [CreationTimes, CreationTimes] | null> {
  const names = plainNames(listing);
  const [one, other] = await bothEnded(
    reader.creationTimes(requests[0], names, false),
    reader.creationTimes(requests[1], names, false),
  );
  return one.kind === "read" && other.kind === "read" ? [one.creationTimes, other.creationTimes] : null;
}

/**
 * Names of the entries that have been unchanged for the longest time. Names that smbclient does not accept are left
 * out.
 */
function plainNames({ entries }: RootListing): readonly string[] {
  return steadiest(entries.filter(({ name }) => isPlainName(name)))
    .slice(0, CREATION_TIMES_AT_MOST)
    .map(({ name }) => name);
}

/** Rejects only after both have ended and removed their files with logins. */
async function bothEnded<T>(one: Promise<T>, other: Promise<T>): Promise<readonly [T, T]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

/** Reads a root in order to recognize it. Tries smbclient first, because only smbclient shows creation times. */
async function readAgain(
  reader: RootReader,
  programs: readonly ProofProgram[],
  names: readonly string[],
  request: ReadRequest,
): Promise<({ readonly kind: "read" } & SideReading) | ReadFailure> {
  let failure: ReadFailure | null = null;
  if (programs.includes("smbclient")) {
    const read = await reader.creationTimes(request, names, true);
    if (read.kind === "read" || read.isRefusedLogin) return read;
    failure = read;
  }
  if (programs.includes("rclone")) {
    const read = await reader.list("rclone", request);
    if (read.kind === "read") return { ...read, creationTimes: null };
    failure ??= read;
  }
  return failure ?? { kind: "failed", text: INSTALL, isRefusedLogin: false };
}

function sourceAt({ shareName }: ShareSpec, { host = null, address, port }: ProofEndpoint): string {
  return sourceOf({ host: host ?? address, port }, shareName);
}

function bothSources(share: ShareSpec): string {
  return routesOf(share)
    .map((route) => sourceOf(share.routes[route], share.shareName))
    .join(" and ");
}

/**
 * Returns the source to show in messages: that of `route` if the share has this route, else that of the share's only
 * route.
 */
function sourceOn(share: ShareSpec, route: RouteName): string {
  const isThere = routesOf(share).includes(route);
  return sourceOf(isThere ? share.routes[route] : preferredRoute(share), share.shareName);
}

function different(text: string): ProofResult {
  return { kind: "different", text };
}

function unproved(text: string): Extract<ProofResult, { kind: "unproved" }> {
  return { kind: "unproved", text };
}
