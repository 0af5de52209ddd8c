// Proves that both routes of a share lead to one server, and that a server that was away is the one from before.

import { createSemaphore } from "../../network/probe/semaphore.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteName, ShareSpec } from "../share-spec.ts";
import { sourceOf } from "../smb-source.ts";
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
import { createWitnessStore, type ServerWitness } from "./server-witness.ts";

/** Where the newest probe of a route was answered. */
export interface ProofEndpoint extends ReaderEndpoint {
  /** As 32 hex digits; null: the answer did not say it. */
  readonly serverGuid: string | null;
}

/** `text` is one line for people that names the evidence, or what is missing. */
export type ProofVerdict =
  | { readonly kind: "same" }
  | { readonly kind: "different"; readonly text: string }
  | { readonly kind: "unproved"; readonly text: string };

/**
 * Answers within 12 s of its turn, with `unproved` when that is too short; two proofs run at once, the others wait.
 * Rejects only when the signal aborts. One at a time for a share.
 */
export type ServerProof = ReturnType<typeof createServerProof>;

export interface ServerProofOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stateFolder: string;
  /** Where programs are looked for; default: PATH. */
  readonly programFolders?: () => readonly string[];
}

const PROOFS_AT_ONCE = 2;
const DEADLINE_MS = 10_000;
/** A file that is written all the time is seen to change in it. */
const BETWEEN_READINGS_MS = 1_000;
/** Enough that some are left when a few are deleted; each is four requests to the server. */
const BIRTHS_AT_MOST = 16;
const INSTALL = "install rclone or smbclient";

export function createServerProof(options: ServerProofOptions) {
  const { clock, logger, stateFolder, programFolders } = options;
  const reader = createRootReader({
    clock,
    stateFolder,
    ...(programFolders === undefined ? {} : { folders: programFolders }),
  });
  const witnesses = createWitnessStore(stateFolder, logger);
  const semaphore = createSemaphore(PROOFS_AT_ONCE);

  return {
    /**
     * While both routes answer: compares what the share's root shows over each, and remembers it, if that `isSteady`
     * still, to recognise the server by.
     */
    compare(
      share: ShareSpec,
      endpoints: Readonly<Record<RouteName, ProofEndpoint>>,
      isSteady: () => boolean,
      signal: AbortSignal,
    ): Promise<ProofVerdict> {
      return semaphore.use(async () => {
        signal.throwIfAborted();
        const guids = compareGuids(share, endpoints);
        if (guids.kind !== "one") return guids.verdict;
        const programs = await reader.programs();
        const early = cannotRead(share, programs);
        if (early !== null) return early;
        const requests = requestsFor(share, endpoints, clock.monotonicMs() + DEADLINE_MS, signal);
        const compared = await compareRoots({ clock, reader, programs, requests, share });
        if ("verdict" in compared) return compared.verdict;
        const { listing, births } = compared.side;
        const before = await witnesses.read(share);
        if (!isSteady()) return unproved(`the server of ${bothSources(share)} was lost meanwhile`);
        const known = before?.serverGuid === guids.serverGuid ? before : null;
        await witnesses.write(share, witnessOf(guids.serverGuid, listing, births, known));
        return { kind: "same" };
      });
    },

    /** After the server was away: is the server on this one route the one that the last proof saw? */
    recognise(
      share: ShareSpec,
      route: RouteName,
      endpoint: ProofEndpoint,
      signal: AbortSignal,
    ): Promise<ProofVerdict> {
      return semaphore.use(async () => {
        signal.throwIfAborted();
        const source = sourceOf(share.routes[route], share.shareName);
        const witness = await witnesses.read(share);
        if (witness === null) return unproved(`nothing is known yet of the server behind ${source}`);
        if (endpoint.serverGuid === null) return unproved(`${source} does not tell its ServerGuid`);
        if (endpoint.serverGuid !== witness.serverGuid) {
          const guids = `its ServerGuid is ${endpoint.serverGuid}, not ${witness.serverGuid}`;
          return different(`${source} leads to another server than before: ${guids}`);
        }
        const programs = await reader.programs();
        const early = cannotRead(share, programs);
        if (early !== null) return early;
        const deadlineAtMs = clock.monotonicMs() + DEADLINE_MS;
        const read = await readAgain(reader, programs, witness, {
          share,
          route,
          endpoint,
          deadlineAtMs,
          signal,
        });
        if (read.kind === "failed") return unproved(`${source} cannot be listed: ${harmless(read.text)}`);
        const recognised = recogniseRoot(witness, read.listing, read.births);
        if (recognised.kind !== "same") return { ...recognised, text: `${source} ${recognised.text}` };
        await witnesses.write(share, witnessOf(witness.serverGuid, read.listing, read.births, witness));
        return recognised;
      });
    },

    /** Removes the files with a login that a killed process left, of whichever share. Never rejects. */
    removeLeftovers: (): Promise<void> => reader.removeLeftovers(logger),

    /** Removes what is known of the server behind a share. */
    async forget(share: ShareSpec): Promise<void> {
      await witnesses.forget(share);
      await reader.forget(share);
    },
  };
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
    const source = sourceOf(share.routes[silent ?? "tb"], share.shareName);
    return { kind: "not_one", verdict: unproved(`${source} does not tell its ServerGuid`) };
  }
  if (tb.serverGuid === fallback.serverGuid) return { kind: "one", serverGuid: tb.serverGuid };
  const guids = `their ServerGuids are ${tb.serverGuid} and ${fallback.serverGuid}`;
  return { kind: "not_one", verdict: different(`${bothSources(share)} are two servers: ${guids}`) };
}

function cannotRead(share: ShareSpec, programs: readonly ProofProgram[]): ProofVerdict | null {
  if (share.missingVariable !== null) return unproved(`${bothSources(share)}: the password is missing`);
  if (programs.length > 0) return null;
  return unproved(`nothing here can list ${bothSources(share)}: ${INSTALL}`);
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

/** A verdict that is not `same`, or what the first route showed of what agrees. */
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
      const source = sourceOf(share.routes[reading.route], share.shareName);
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

/** Lists both at once, by the first program that can; then asks when what is there was created, if that can be asked. */
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
  const names = steadiest(listing.entries.filter(({ name }) => isPlainName(name)))
    .slice(0, BIRTHS_AT_MOST)
    .map(({ name }) => name);
  const [one, other] = await bothEnded(
    reader.births(requests[0], names, false),
    reader.births(requests[1], names, false),
  );
  return one.kind === "read" && other.kind === "read" ? [one.births, other.births] : null;
}

/** Rejects when both have ended, too: by then neither has left its login in a file. */
async function bothEnded<T>(one: Promise<T>, other: Promise<T>): Promise<readonly [T, T]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

type ReadAgain =
  | { readonly kind: "read"; readonly listing: RootListing; readonly births: Births | null }
  | ReadFailure;

/** smbclient first: it alone tells when something was created. */
async function readAgain(
  reader: RootReader,
  programs: readonly ProofProgram[],
  witness: ServerWitness,
  request: ReadRequest,
): Promise<ReadAgain> {
  let failure: ReadFailure | null = null;
  if (programs.includes("smbclient")) {
    const own = witness.entries.filter(({ createdMs }) => createdMs !== null);
    const names = own.slice(0, BIRTHS_AT_MOST).map(({ name }) => name);
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

function bothSources({ routes, shareName }: ShareSpec): string {
  return `${sourceOf(routes.tb, shareName)} and ${sourceOf(routes.fallback, shareName)}`;
}

function different(text: string): ProofVerdict {
  return { kind: "different", text };
}

function unproved(text: string): ProofVerdict {
  return { kind: "unproved", text };
}
