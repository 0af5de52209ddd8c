// The fleet as the daemon knows it, asked for while the view is open and seen.
import { useEffect, useState } from "preact/hooks";
import type { FleetReport } from "../../../api/fleet-contract.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { useStore } from "../daemon/store.ts";
import type { App } from "../parts/app.ts";

/** How old what is seen may be. An event for each change of a thousand machines would cost all who do not look. */
const AGAIN_MS = 1_000;
/** A large fleet is asked for less often: the asking is at most a quarter of the time. */
const REST_FACTOR = 3;

export type KnownFleet =
  | { readonly kind: "nothing" }
  /** No fleet is configured. */
  | { readonly kind: "off" }
  | { readonly kind: "fleet"; readonly report: FleetReport };

interface Fleet {
  readonly known: KnownFleet;
  /** Why the newest question was not answered; null: it was. */
  readonly problem: string | null;
}

export function useFleet(app: App): Fleet {
  const [fleet, setFleet] = useState<Fleet>({ known: { kind: "nothing" }, problem: null });
  const version = useStore(app.store, (state) => state.configVersion);
  // Only another configuration begins a fleet.
  const waitsFor = fleet.known.kind === "off" ? version : null;
  useEffect(() => {
    const end = new AbortController();
    const { signal } = end;
    const ask = async (): Promise<Fleet | null> => {
      try {
        const report = await app.requests.ask("fleet", null, { signal });
        return { known: { kind: "fleet", report }, problem: null };
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
        if (error.code === "fleet_off") return { known: { kind: "off" }, problem: null };
        // The bar says since when nobody answers; what was known stays.
        const isAway = ["aborted", "daemon_unreachable", "permission_denied"].includes(error.code);
        if (!isAway) setFleet((last) => ({ ...last, problem: error.message }));
        return null;
      }
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      const startedMs = performance.now();
      const isSeen = document.visibilityState === "visible";
      const found = isSeen ? await ask() : null;
      if (signal.aborted) return;
      if (found !== null) setFleet(found);
      if (found?.known.kind === "off") return;
      const restMs = Math.max(AGAIN_MS, (performance.now() - startedMs) * REST_FACTOR);
      timer = setTimeout(() => void look(), restMs);
    };
    void look();
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [waitsFor]);
  return fleet;
}
