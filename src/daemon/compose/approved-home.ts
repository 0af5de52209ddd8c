// The approved part of a home's configuration, with its secrets, for commands. Nothing is written.
import type { HomeContext } from "../../config/home-context.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { type Logger, noopLogger } from "../../runtime/log/log.ts";
import { systemClock as clock } from "../../runtime/time/clock.ts";
import { startApprovals } from "../approvals/start-approvals.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import { homeSecrets } from "./stored-secrets.ts";

interface ApprovedOptions {
  readonly homeContext: HomeContext;
  readonly snapshot: ConfigSnapshot;
  /** Default: nothing is logged. */
  readonly logger?: Logger;
  /** Called for each entry that waits for approval. */
  readonly publish?: (transition: ServiceTransition) => void;
}

/** Loads the approved part and its secrets. Rejects only with the signal's reason. */
export async function approvedHome(options: ApprovedOptions, signal: AbortSignal) {
  const { homeContext, snapshot: loaded, logger = noopLogger, publish = () => {} } = options;
  const environment = process.env;
  const { approvalStore, snapshot, keyStorage } = await startApprovals(
    { homeContext, environment, snapshot: loaded, clock, logger, publish, writes: false },
    signal,
  );
  const secrets = homeSecrets({ home: homeContext.home, environment, clock, logger });
  return {
    approvalStore,
    keyStorage,
    snapshot: await secrets.bind(snapshot, signal),
    values: secrets.values,
  };
}
