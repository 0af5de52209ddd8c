// The approved part of a home's configuration, with its secrets, for commands. Nothing is written.
import type { ConfigPlace } from "../../config/locate.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { type Logger, silentLogger } from "../../runtime/log/log.ts";
import { systemClock as clock } from "../../runtime/time/clock.ts";
import { startApprovals } from "../approvals/start-approvals.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import { homeSecrets } from "./stored-secrets.ts";

interface ApprovedOptions {
  readonly place: ConfigPlace;
  readonly snapshot: ConfigSnapshot;
  /** Default: nothing is logged. */
  readonly logger?: Logger;
  /** Called for each entry that waits for approval. */
  readonly publish?: (transition: ServiceTransition) => void;
}

/** Loads the approved part and its secrets. Rejects only with the signal's reason. */
export async function approvedHome(options: ApprovedOptions, signal: AbortSignal) {
  const { place, snapshot: loaded, logger = silentLogger, publish = () => {} } = options;
  const environment = process.env;
  const { keeper, snapshot, keyPlace } = await startApprovals(
    { place, environment, snapshot: loaded, clock, logger, publish, writes: false },
    signal,
  );
  const secrets = homeSecrets({ home: place.home, environment, clock, logger });
  return { keeper, keyPlace, snapshot: await secrets.bind(snapshot, signal), values: secrets.values };
}
