// Proves which server is behind a route of a share: each server has an id, and both routes may lead to one, or to two.

import type { HostProber } from "../../network/probe/probe-result.ts";
import { createSemaphore } from "../../network/probe/single-flight.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { isDiskFull, type StateFolderTools } from "../drivers/share-files.ts";
import { createLogons, type Logons } from "../logons/logons.ts";
import { preferredRoute, type RouteName, routesOf, type ShareSpec } from "../share-spec.ts";
import { isSameShareName, sourceOf } from "../smb-source.ts";
import { compareReadings, READINGS_AT_MOST, type Reading, type SideReading } from "./comparison.ts";
import { type Births, recogniseRoot, steadiest, witnessOf } from "./recognition.ts";
import type { RootListing } from "./root-listing.ts";
import {
  createRootReader,
  isPlainName,
  type ProofProgram,
  type ReaderEndpoint,
  type ReadFailure,
  type ReadRequest,
  type RootReader,
} from "./root-reader.ts";
import {
  createKnownServers,
  type KnownServer,
  type KnownServers,
  newServerId,
  type ServerWitness,
} from "./server-witness.ts";

/** The address at which the newest probe of a route was answered. */
export interface ProofEndpoint extends ReaderEndpoint {
  /** As the configuration names it; null or absent: it does not, or not any more. */
  readonly host?: string | null;
  /** As 32 hex digits; null: the answer did not say it. */
  readonly serverGuid: string | null;
}

/** `text` is one line for people that names the evidence, or what is missing. */
export type ProofVerdict =
  /** `server`: the id of the server that is there. */
  | { readonly kind: "same"; readonly server: string }
  /** `server`: for one route, the server that is there instead of the expected one; absent: unknown, too. */
  | { readonly kind: "different"; readonly text: string; readonly server?: string }
  /** `isBlank`: nothing is known of the expected server that it could be told by. */
  | { readonly kind: "unproved"; readonly text: string; readonly isBlank?: true };

/**
 * Answers within 12 s of its turn, with `unproved` if that is too short. Two proofs run at once, the others wait;
 * proofs of one share take turns. Rejects only when the signal aborts.
 */
export type ServerProof = ReturnType<typeof createServerProof>;

export interface ServerProofOptions extends StateFolderTools {
  /** Where programs are looked for; default: PATH. */
  readonly programFolders?: () => readonly string[];
  /** A password goes to nobody who does not sign: smbclient alone insists on that. */
  readonly signsLogins?: boolean;
  /** Default: its own. */
  readonly logons?: Logons;
  /** Absent: a ServerGuid is taken for that of the root that was read after it. */
  readonly hostProber?: Pick<HostProber, "probe">;
  /** Default: by programs. */
  readonly reader?: RootReader;
  /** Default: in the state folder. */
  readonly known?: KnownServers;
}

const PROOFS_AT_ONCE = 2;
const GUID_AGAIN_MS = 1_000;
const DEADLINE_MS = 10_000;
/** What is already known about the server. */
export interface Expected {
  /** The server of the mount; null: nothing is mounted, and any server will do. */
  readonly server: string | null;
  /** A server that is behind the other route, and so not behind this one. */
  readonly not?: string | null;
  /**
   * False: the server was lost meanwhile, so what was read may be of two servers and does not count. Absent: unknown.
   */
  readonly isSteady?: () => boolean;
}

/** Long enough to see that a file is being written all the time. */
const BETWEEN_READINGS_MS = 1_000;
/** Enough that some are left when a few are deleted; each costs four requests to the server. */
const BIRTHS_AT_MOST = 16;
const INSTALL = "install rclone or smbclient";

export function createServerProof(options: ServerProofOptions) {
  const { clock, logger, stateFolder, hostProber, programFolders, logons = createLogons(clock) } = options;
  const folders = programFolders === undefined ? {} : { folders: programFolders };
  const {
    reader = createRootReader({ clock, stateFolder, logons, ...folders }),
    known = createKnownServers(stateFolder),
  } = options;
  const { signsLogins = false } = options;
  const programsFor = async ({ password }: ShareSpec): Promise<readonly ProofProgram[]> =>
    (await reader.programs()).filter((one) => one === "smbclient" || password === null || !signsLogins);
  const install = signsLogins ? "install smbclient, which signs the login" : INSTALL;
  const semaphore = createSemaphore(PROOFS_AT_ONCE);
  const turns = new Map<string, ReturnType<typeof createSemaphore>>();
  const inTurn = ({ name }: ShareSpec, work: () => Promise<ProofVerdict>): Promise<ProofVerdict> => {
    const turn = turns.get(name) ?? createSemaphore(1);
    turns.set(name, turn);
    return turn.use(() => semaphore.use(work));
  };

  /** Else what was read is another server's than the one that told its ServerGuid before. */
  const isStill = async ({ address: host, port, serverGuid }: ProofEndpoint): Promise<boolean> => {
    const now = { notBeforeMs: clock.monotonicMs(), timeoutMs: GUID_AGAIN_MS };
    const probe = await hostProber?.probe({ host, port, interfaceName: null }, now);
    return probe === undefined || probe.serverGuid === serverGuid;
  };

  return {
    /**
     * While both routes answer: compares what the share's root shows over each, and returns its server, if `isSteady`
     * is still true. `inUse`: the server that one of them has led to all the time.
     */
    compare(
      share: ShareSpec,
      endpoints: Readonly<Record<RouteName, ProofEndpoint>>,
      inUse: string | null,
      isSteady: () => boolean,
      signal: AbortSignal,
    ): Promise<ProofVerdict> {
      return inTurn(share, async () => {
        signal.throwIfAborted();
        const guids = compareGuids(share, endpoints);
        if (guids.kind !== "one") return guids.verdict;
        const programs = await programsFor(share);
        const early = cannotRead(share, programs, install);
        if (early !== null) return early;
        const requests = requestsFor(share, endpoints, clock.monotonicMs() + DEADLINE_MS, signal);
        const compared = await compareRoots({ clock, reader, programs, requests, share });
        if ("verdict" in compared) return compared.verdict;
        const areStill = (await Promise.all([endpoints.tb, endpoints.fallback].map(isStill))).every(Boolean);
        if (!areStill || !isSteady())
          return unproved(`the server of ${bothSources(share)} was lost meanwhile`);
        const root = { serverGuid: guids.serverGuid, ...compared.side };
        const source = sourceAt(share, endpoints.tb);
        const more = (): Promise<null> => Promise.resolve(null);
        return await identify(known, share, {
          root,
          more,
          source,
          certain: inUse,
          expected: { server: null },
        });
      });
    },

    /** Which server is behind this one route? Another than the `expected` one is `different`. */
    recognise(
      share: ShareSpec,
      route: RouteName,
      endpoint: ProofEndpoint,
      expected: Expected,
      signal: AbortSignal,
    ): Promise<ProofVerdict> {
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
        const born = new Set(candidates(servers, share, serverGuid).flatMap(ownBirths));
        const request = { share, route, endpoint, deadlineAtMs, signal };
        const read = await readAgain(reader, programs, [...born], request);
        if (read.kind === "failed")
          return other ?? unproved(`${source} cannot be listed: ${harmless(read.text)}`);
        if (!(await isStill(endpoint)) || expected.isSteady?.() === false)
          return unproved(`the server of ${source} was lost meanwhile`);
        const root = { serverGuid, listing: read.listing, births: read.births };
        const more = async (): Promise<Births | null> => {
          if (!programs.includes("smbclient")) return null;
          const births = await reader.births(request, plainNames(read.listing), false);
          return births.kind === "read" ? births.births : null;
        };
        const found = await identify(known, share, { root, more, source, certain: null, expected });
        return found.kind === "different" && other?.kind === "different"
          ? { ...found, text: other.text }
          : found;
      });
    },

    /** Makes up an id for a server that is mounted before it could be proved. Rejects with the system's error. */
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

    /** Removes the files with logins that killed processes left, of any share. Never rejects. */
    removeLeftovers: (): Promise<void> => reader.removeLeftovers(logger),
  };
}

interface Root {
  readonly serverGuid: string;
  readonly listing: RootListing;
  readonly births: Births | null;
}

interface Identifying {
  readonly root: Root;
  /** Asks when the entries of a new server were created, if that is not known yet. */
  readonly more: () => Promise<Births | null>;
  readonly source: string;
  /** The server, if it is certain whatever its root shows. */
  readonly certain: string | null;
  readonly expected: Expected;
}

/** Finds the server of the root among the known ones, or adds it as a new one. */
async function identify(
  known: KnownServers,
  share: ShareSpec,
  { root, more, source, certain, expected }: Identifying,
): Promise<ProofVerdict> {
  const { serverGuid, listing, births } = root;
  const { shareName } = share;
  if (listing.count === 0) return unproved(`${source} is empty: nothing in it can be recognised`);
  const servers = await known.list(share);
  const keep = async (id: string): Promise<Extract<ProofVerdict, { kind: "same" }>> => {
    const before = servers.find((server) => server.id === id)?.witness ?? null;
    const steady = before?.serverGuid === serverGuid ? before : null;
    const born = steady === null ? new Map([...(births ?? []), ...((await more()) ?? [])]) : births;
    const witness = witnessOf(serverGuid, listing, born, steady);
    try {
      await known.keep(share, { id, shareName, source, witness });
    } catch (error) {
      // What is known of it already still holds on a full disk.
      if (before === null || !isDiskFull(error)) throw error;
    }
    return { kind: "same", server: id };
  };
  if (servers.some(({ id, witness }) => id === certain && witness !== null)) return keep(certain ?? "");
  const likely = candidates(servers, share, serverGuid).map(({ id, witness }) => ({
    id,
    recognised: recogniseRoot(witness, listing, births),
    isUntold: births === null && witness.rootCreatedMs !== null,
  }));
  // That it is not the one of the other route was found before, and may be so no more: creation times say it now.
  const same = likely.flatMap(({ id, recognised }) =>
    recognised.kind === "same" && (id !== expected.not || recognised.by === "creation")
      ? [{ id, by: recognised.by }]
      : [],
  );
  if (
    likely.some(
      ({ id, recognised, isUntold }) => isUntold && id === expected.not && recognised.kind === "same",
    )
  )
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
  // A server that was mounted before it could be proved, and is still in use, is known from now on.
  return await keep(only?.id ?? certain ?? newServerId());
}

type Candidate = KnownServer & { readonly witness: ServerWitness };

function candidates(servers: readonly KnownServer[], share: ShareSpec, serverGuid: string): Candidate[] {
  return servers.flatMap((server) => {
    const { witness, shareName } = server;
    return witness?.serverGuid === serverGuid && isSameShareName(shareName, share.shareName)
      ? [{ ...server, witness }]
      : [];
  });
}

/** Names of entries whose creation time is known. */
function ownBirths({ witness }: Candidate): readonly string[] {
  const own = witness.entries.filter(({ createdMs }) => createdMs !== null);
  return own.slice(0, BIRTHS_AT_MOST).map(({ name }) => name);
}

type GuidsCompared =
  | { readonly kind: "one"; readonly serverGuid: string }
  | { readonly kind: "not_one"; readonly verdict: ProofVerdict };

function compareGuids(
  share: ShareSpec,
  { tb, fallback }: Readonly<Record<RouteName, ProofEndpoint>>,
): GuidsCompared {
  const silent = tb.serverGuid === null ? "tb" : fallback.serverGuid === null ? "fallback" : null;
  if (tb.serverGuid === null || fallback.serverGuid === null) {
    const source = sourceOn(share, silent ?? "tb");
    return { kind: "not_one", verdict: unproved(`${source} does not show its ServerGuid`) };
  }
  if (tb.serverGuid === fallback.serverGuid) return { kind: "one", serverGuid: tb.serverGuid };
  const guids = `their ServerGuids are ${tb.serverGuid} and ${fallback.serverGuid}`;
  return { kind: "not_one", verdict: different(`${bothSources(share)} are two servers: ${guids}`) };
}

function cannotRead(
  share: ShareSpec,
  programs: readonly ProofProgram[],
  install: string,
): ProofVerdict | null {
  if (share.missingVariable !== null) return unproved(`${bothSources(share)}: the password is missing`);
  if (programs.length > 0) return null;
  return unproved(`nothing here can list ${bothSources(share)}: ${install}`);
}

function requestsFor(
  share: ShareSpec,
  endpoints: Readonly<Record<RouteName, ProofEndpoint>>,
  deadlineAtMs: number,
  signal: AbortSignal,
): Requests {
  const request = (route: RouteName): ReadRequest => ({
    share,
    route,
    endpoint: endpoints[route],
    deadlineAtMs,
    signal,
  });
  return [request("tb"), request("fallback")];
}

type Requests = readonly [ReadRequest, ReadRequest];

interface ComparingParts {
  readonly clock: Clock;
  readonly reader: RootReader;
  readonly programs: readonly ProofProgram[];
  readonly requests: Requests;
  readonly share: ShareSpec;
}

/** A verdict other than `same`, or the first route's data if both agree. */
async function compareRoots(
  parts: ComparingParts,
): Promise<{ readonly verdict: ProofVerdict } | { readonly side: SideReading }> {
  const { clock, requests, share } = parts;
  const sources = bothSources(share);
  const readings: Reading[] = [];
  for (let count = 0; count < READINGS_AT_MOST; count += 1) {
    if (count > 0) await clock.sleep(BETWEEN_READINGS_MS, requests[0].signal);
    const reading = await readBoth(parts);
    if ("failed" in reading) {
      const source = sourceOn(share, reading.route);
      return { verdict: unproved(`${source} cannot be listed: ${harmless(reading.failed.text)}`) };
    }
    readings.push(reading.both);
    const compared = compareReadings(readings);
    if (compared.kind === "same") return { side: reading.both[0] };
    if (compared.kind === "different") return { verdict: different(`${sources} ${compared.text}`) };
    if (compared.kind === "empty") {
      return { verdict: unproved(`${sources} are empty: put a file there, so that they can be compared`) };
    }
  }
  return { verdict: unproved(`all that ${sources} hold goes on changing`) };
}

type BothRead = { readonly both: Reading } | { readonly failed: ReadFailure; readonly route: RouteName };

/** Lists both at once, by the first program that can; then asks for creation times, if possible. */
async function readBoth({ reader, programs, requests }: ComparingParts): Promise<BothRead> {
  let failure: { readonly failed: ReadFailure; readonly route: RouteName } | null = null;
  for (const program of programs) {
    const [one, other] = await bothEnded(
      reader.list(program, requests[0]),
      reader.list(program, requests[1]),
    );
    if (one.kind === "read" && other.kind === "read") {
      const births = programs.includes("smbclient") ? await bothBirths(reader, requests, one.listing) : null;
      return {
        both: [
          { listing: one.listing, births: births?.[0] ?? null },
          { listing: other.listing, births: births?.[1] ?? null },
        ],
      };
    }
    const failed = one.kind === "failed" ? one : other;
    if (failed.kind !== "failed") continue;
    failure ??= { failed, route: requests[one.kind === "failed" ? 0 : 1].route };
    if (failed.isRefusedLogin) break;
  }
  return failure ?? { failed: { kind: "failed", text: INSTALL, isRefusedLogin: false }, route: "tb" };
}

async function bothBirths(
  reader: RootReader,
  requests: Requests,
  listing: RootListing,
): Promise<readonly [Births, Births] | null> {
  const names = plainNames(listing);
  const [one, other] = await bothEnded(
    reader.births(requests[0], names, false),
    reader.births(requests[1], names, false),
  );
  return one.kind === "read" && other.kind === "read" ? [one.births, other.births] : null;
}

/** The entries that were unchanged for longest, among those that smbclient can be asked about. */
function plainNames({ entries }: RootListing): readonly string[] {
  return steadiest(entries.filter(({ name }) => isPlainName(name)))
    .slice(0, BIRTHS_AT_MOST)
    .map(({ name }) => name);
}

/** Rejects only after both have ended: by then neither has left its login in a file. */
async function bothEnded<T>(one: Promise<T>, other: Promise<T>): Promise<readonly [T, T]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

type ReadAgain =
  | { readonly kind: "read"; readonly listing: RootListing; readonly births: Births | null }
  | ReadFailure;

/** smbclient first: it alone shows when something was created. */
async function readAgain(
  reader: RootReader,
  programs: readonly ProofProgram[],
  names: readonly string[],
  request: ReadRequest,
): Promise<ReadAgain> {
  let failure: ReadFailure | null = null;
  if (programs.includes("smbclient")) {
    const read = await reader.births(request, names, true);
    if (read.kind === "read" || read.isRefusedLogin) return read;
    failure = read;
  }
  if (programs.includes("rclone")) {
    const read = await reader.list("rclone", request);
    if (read.kind === "read") return { ...read, births: null };
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

/** A share with one route is compared with itself. */
function sourceOn(share: ShareSpec, route: RouteName): string {
  const isThere = routesOf(share).includes(route);
  return sourceOf(isThere ? share.routes[route] : preferredRoute(share), share.shareName);
}

function different(text: string): ProofVerdict {
  return { kind: "different", text };
}

function unproved(text: string): Extract<ProofVerdict, { kind: "unproved" }> {
  return { kind: "unproved", text };
}
