// How V8 is to use the daemon's heap.
import { setFlagsFromString } from "node:v8";

/** Of what is in use after a collection; V8's own choice may be several times that. */
const GROWING_PERCENT = 100;

/** Holds for the process, from now on; children inherit nothing of it. */
export function settleHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
  // V8 may decide that the objects of one place in the code are born in the old heap, as those of the first calls lived
  // long. Each of them then takes all that it points to with it, dead or not, until the next full collection: 1.4 KB of
  // each call.
  setFlagsFromString("--no-allocation-site-pretenuring");
}
