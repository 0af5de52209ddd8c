// Runs the share engine once inside a command while no daemon runs: no timers, no listeners.
import { join } from "node:path";
import type { Condition, StatusReport, VerifyFinding } from "../api/contract/contract.ts";
import type { EngineOperation, InProcessEngine, InProcessOptions } from "../api/in-process.ts";
import { askOf } from "../api/operations/operations.ts";
import { packageVersion } from "../api/version.ts";
import { globalKeys } from "../config/schema/share-schema.ts";
import { sectionSettings } from "../config/section-settings.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { openMemory } from "../reconcile/state-file.ts";
import { createDisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { ensurePrivateFolder } from "../runtime/files/durable-file.ts";
import { acquireHomeLock } from "../runtime/process/home-lock.ts";
import { isoTime, systemClock } from "../runtime/time/clock.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { approvedHome } from "./compose/approved-home.ts";
import { startEngineParts } from "./compose/engine-parts.ts";
import { wantsGateway } from "./compose/gateway-config.ts";
import { openHome } from "./compose/home.ts";
import { startCommandLog } from "./compose/log-settings.ts";
import { createPrivatePlaces } from "./compose/private-places.ts";
import { formerSubject, shareSubjects } from "./compose/share-subjects.ts";
import { idleGatewayStatus } from "./control/gateway-status.ts";
import { configWarningConditions, leftConditions, rcloneConditions } from "./control/global-conditions.ts";
import { aliasStatuses, openPlaces } from "./control/place-control.ts";
import { createShareControl } from "./control/share-control.ts";
import { shareStatus } from "./control/share-status.ts";
import { verifyReport } from "./control/verify.ts";
import { logTransition } from "./events/service-transitions.ts";
import { openLocalFiles } from "./reload/config-file.ts";

/** Longest wait for another command's lock, ms. */
const LOCK_WAIT_MS = 10_000;

/**
 * Longest wait for the prober's process, ms. A command looks once: if it looked while that process starts on a busy machine, a
 * folder would pass for one that gives no answer.
 */
const PROBER_STARTS_MS = 10_000;

const NOT_LOOKED_AT: VerifyFinding = {
  share: null,
  severity: "warning",
  code: "gateway_not_running",
  text: "no daemon runs, so the gateway and its backends were not looked at",
  hint: "mountaineer up",
};

/**
 * Opens the share engine. A command that only reads takes no lock, mounts nothing and writes nothing. Rejects with
 * the same errors as a start of the daemon.
 */
export async function openInProcess(options: InProcessOptions): Promise<InProcessEngine> {
  const { home, configPath, intent, command, signal } = options;
  const clock = systemClock;
  const changes = intent === "change";
  const stack = createDisposalStack((error) =>
    process.stderr.write(`end was not clean: ${errorText(error)}\n`),
  );
  try {
    if (changes) {
      await ensurePrivateFolder(home);
      stack.use(await acquireHomeLock(home, { command, waitMs: LOCK_WAIT_MS, clock, signal }));
    }
    const { place, snapshot: loaded } = await openHome({ home, configPath });
    const log = stack.use(startCommandLog(changes ? { home, userHome: place.userHome } : null));
    const { logger } = log;
    const hasShares = loaded.config.shares.length > 0;
    const prober = stack.use(startProber({ clock, logger, startsAhead: hasShares }));
    const memory = stack.use(
      await openMemory({ path: join(home, "state.json"), clock, logger, readOnly: !changes }),
    );
    const force = new AbortController();
    const parts = stack.use(
      startEngineParts({
        home,
        clock,
        logger,
        memory,
        prober,
        forceStop: force.signal,
        announce: (transition) => logTransition(logger, transition),
      }),
    );
    const { engine, drivers } = parts;
    if (changes) {
      const look = openLocalFiles({ ...parts, clock }).exposures;
      await createPrivatePlaces({ home, look, clock, logger }).require(loaded);
    }
    const { keeper, snapshot, values } = await approvedHome({ place, snapshot: loaded, logger }, signal);
    const { config } = snapshot;
    const startedAt = isoTime(clock.wallMs());
    const redact = (secret: string): void => log.redact(secret);
    const context = { environment: values, drivers, redact, intervalMs: null };
    if (hasShares) await prober.folderExists("/", PROBER_STARTS_MS);
    engine.apply(shareSubjects(config, context), (name) => formerSubject(name, config, context));
    const places = stack.use(
      await openPlaces({
        home,
        clock,
        logger,
        parts,
        readOnly: !changes,
        first: config,
        publish: (transition) => logTransition(logger, transition),
      }),
    );
    // A command that only reads needs one look at each share. If the command changes something, the engine's
    // cycles have looked already.
    const viewOf = (name: string) => (changes ? engine.view(name) : engine.look(name));
    const { control } = createShareControl(engine, clock, parts, home);
    const conditions = async (): Promise<Condition[]> => [
      ...configWarningConditions(snapshot, startedAt),
      ...keeper.conditions(),
      ...[
        ...leftConditions(await engine.left()),
        ...rcloneConditions(snapshot, drivers.rclone.advice?.() ?? null),
      ].map((one) => ({ ...one, since: startedAt })),
    ];
    return {
      ask: askOf<EngineOperation>({
        ...control,
        ...places.control,
        async status() {
          const shares = await Promise.all(engine.names.map(viewOf));
          const aliases = changes ? [] : await places.aliases.look();
          return {
            global: globalStatus(home, snapshot, await conditions()),
            shares: shares.map(shareStatus),
            ...(aliases.length === 0 ? {} : { aliases: aliasStatuses(aliases) }),
            ...(wantsGateway(config) ? idleGatewayStatus(config.backends, startedAt, values) : {}),
          };
        },
        async reconcile(request, signal) {
          const report = await control.reconcile(request, signal);
          await places.aliases.reconcile(signal);
          return report;
        },
        async verify(request, signal) {
          const report = await control.verify(request, signal);
          if ((request.shares ?? null) !== null) return verifyReport(report, null);
          const around = { conditions: await conditions(), status: {}, backends: [] };
          const whole = verifyReport(report, around);
          return wantsGateway(config) ? { ...whole, findings: [NOT_LOOKED_AT, ...whole.findings] } : whole;
        },
      }),
      [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
    };
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}

function globalStatus(
  home: string,
  snapshot: ConfigSnapshot,
  conditions: Condition[],
): StatusReport["global"] {
  return {
    version: packageVersion(),
    pid: null,
    started_at: null,
    config_path: snapshot.path,
    home,
    ...sectionSettings(globalKeys, snapshot.config.global),
    network_events: "off",
    conditions,
  };
}
