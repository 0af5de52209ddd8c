// The newest accepted content of a configuration file that this version accepts, for a start that finds mistakes in the
// file, or cannot read it.
import { openHistory } from "../../config/history/history.ts";
import { type ConfigPlace, configFormat } from "../../config/locate.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { StartReader } from "../../config/worker/reader-process.ts";
import { errorText } from "../../runtime/errors.ts";
import { exposureOf, ownIdentity } from "../../runtime/files/exposure.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { type KeptLayer, type LayeredLoad, loadLayered } from "./layered-load.ts";

/** Somebody waits for the start, and each is read by a process of its own. */
const MOST_TRIED = 10;

type LastAccepted =
  | (Pick<LayeredLoad, "layer" | "layerMistakes"> & {
      readonly ok: true;
      readonly snapshot: ConfigSnapshot;
      /** ISO 8601 UTC. */
      readonly acceptedAt: string;
    })
  /** `reason`: why it cannot be used; null: nothing was ever accepted. */
  | { readonly ok: false; readonly reason: string | null };

/** What was accepted last for the file at `path`, from the home's history. Never rejects: `reason` says what failed. */
export async function lastAccepted(options: {
  readonly place: ConfigPlace;
  /** Absolute. */
  readonly path: string;
  readonly clock: Clock;
  /** Default: no layer of a fleet lies under it. */
  readonly keptLayer?: KeptLayer;
  readonly startReader?: StartReader | undefined;
}): Promise<LastAccepted> {
  try {
    return await load(options);
  } catch (error) {
    return unusable(errorText(error));
  }
}

async function load(options: Parameters<typeof lastAccepted>[0]): Promise<LastAccepted> {
  const { place, path } = options;
  let found: LastAccepted = { ok: false, reason: null };
  for (const entry of (await openHistory(place.home, path).newest()).slice(0, MOST_TRIED)) {
    const tried = await loadEntry(entry, options);
    if (tried.ok) return tried;
    // Should all fail, the newest one's reason is told.
    if (!found.ok && found.reason === null) found = tried;
  }
  return found;
}

type StoredEntry = Awaited<ReturnType<ReturnType<typeof openHistory>["newest"]>>[number];

async function loadEntry(
  { file, entry, bytes }: StoredEntry,
  { place, path, clock, keptLayer = async () => null, startReader }: Parameters<typeof lastAccepted>[0],
): Promise<LastAccepted> {
  // The home and the file are looked at before anything runs, as at every start; the history is not.
  const { writable, failure } = await exposureOf(file, await ownIdentity());
  if (writable !== null) return unusable(`${writable.path} can be written by others (mode ${writable.mode})`);
  if (failure !== null) return unusable(failure);
  if (entry.format !== configFormat(path)) return unusable(`it is ${entry.format.toUpperCase()}`);
  const content = Buffer.from(bytes).toString("base64");
  const request = { path, place, content, writeStarter: false };
  const { loaded, layer, layerMistakes } = await loadLayered(request, keptLayer, { clock, startReader });
  if (!loaded.ok) return unusable("this version does not accept it");
  return { ok: true, snapshot: loaded.snapshot, acceptedAt: entry.time, layer, layerMistakes };
}

function unusable(reason: string): LastAccepted {
  return { ok: false, reason: `the content that was accepted last cannot be used: ${reason}` };
}
