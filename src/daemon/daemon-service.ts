// The running service: the share engine, its triggers, the configuration, the gateway and the events. It starts in
// order and ends in reverse.
import type { ReloadReport } from "../api/contract/config.ts";
import type { FlowEvent, StatusReport } from "../api/contract/contract.ts";
import type { ServerConfig } from "../config/snapshot.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { type Clock, isoTime } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { startSecretRetry } from "./compose/stored-secrets.ts";
import { createFlow, flowOf } from "./events/flow.ts";
import type { ApprovalTransition } from "./events/service-transitions.ts";
import { createServiceRelease } from "./handover/service-release.ts";
import { watchSecondConfig } from "./second-config.ts";
import { createServiceControl } from "./service-control.ts";
import { type ServiceOptions, type ServiceParts, startParts } from "./service-parts.ts";

/**
 * Time for an orderly stop, ms; the next start takes care of unfinished work. A stop may take 5 s in all: the
 * rest is for ending parts that hang, such as a prober in a system call.
 */
const STOP_DEADLINE_MS = 3800;
/** How often files with secrets are checked. */
const SECRET_FILES_MS = 5_000;
/** How often what users have stored is compared with the configuration. */
const UNUSED_MS = 10 * 60_000;
/**
 * Time for the unmounts of `--unmount-on-exit`, ms. Together with the stop that follows it stays below the 20 s
 * that service managers allow.
 */
const UNMOUNT_DEADLINE_MS = 10_000;

export type SentinelService = Awaited<ReturnType<typeof startWith>>;

/**
 * Starts the service. Resolves when it runs and no later change of the file can be missed. If it rejects, all
 * parts have ended.
 */
export async function startSentinelService(options: ServiceOptions): Promise<SentinelService> {
  const stack = createDisposalStack((error) =>
    options.logger.warn("stop was not clean", { reason: errorText(error) }),
  );
  try {
    return await startWith(options, stack);
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}

async function startWith(options: ServiceOptions, stack: DisposalStack) {
  const { clock, logger } = options;
  const parts = await startParts(options, stack);
  const { shares, notifications, gateway, config, secrets, approvalStore, snapshot, force, listener } = parts;
  const { engine } = parts.parts;

  engine.triggerAll("start", clock.monotonicMs());
  shares.aliasService.aliases.trigger("start");
  notifications.start();
  await gateway.start(snapshot.config, listener);
  auditApprovals(parts, clock, stack);
  const secondConfig = stack.use(watchSecondConfig(options.home, snapshot.path, clock));
  const control = createServiceControl(options, { ...parts, secondConfig });
  await parts.fleet.start(snapshot.config, () => control.status());
  logger.info("running", {
    pid: process.pid,
    version: packageVersion(),
    shares: engine.names.length,
    config: snapshot.path,
  });
  await config.start();
  if (parts.isStale) await config.judgeAgain();
  const refresh = () => config.refreshSecrets();
  const isDue = () => secrets.unreadOf(config.watcher.running.snapshot).length > 0;
  stack.use(startSecretRetry({ isDue, clock, logger, refresh }));
  const haveFilesChanged = () => secrets.filesChanged(config.watcher.running.snapshot);
  stack.use(startSecretRetry({ isDue: haveFilesChanged, everyMs: SECRET_FILES_MS, clock, logger, refresh }));
  // The secrets were read while another daemon was in charge, and may have changed since.
  if (typeof options.memory === "function") {
    refresh().catch((error: unknown) => logger.warn("secrets not read again", { reason: errorText(error) }));
  }
  const judgeAgain = async (): Promise<void> => {
    if (await approvalStore.readAgain()) await config.judgeAgain();
  };
  stack.use(startSecretRetry({ isDue: () => approvalStore.mayPass, clock, logger, refresh: judgeAgain }));
  const mayForget = () => parts.gatewayOwn.writes.isOurs && approvalStore.waiting.length === 0;
  const forgetUnused = async (): Promise<void> => {
    const { forgetUnusedAccounts } = await import("./compose/unused-accounts.ts");
    const running = { config: config.watcher.running.snapshot.config, values: secrets.values };
    await forgetUnusedAccounts({ ...options, ...running }, force.signal);
  };
  stack.use(startSecretRetry({ isDue: mayForget, everyMs: UNUSED_MS, clock, logger, refresh: forgetUnused }));

  let stopping: Promise<void> | null = null;
  return {
    control,
    stream: { ...parts.stream, flow: createFlow({ clock, logger, read: () => readFlow(control, parts) }) },
    /** Serves one MCP client over lines of JSON-RPC, as the home's owner. */
    serveLines: gateway.serveLines,
    bus: parts.bus,
    /** The status with what is measured for it. */
    async measuredStatus(): Promise<StatusReport> {
      await gateway.measure();
      return control.status();
    },
    /** True once the share was observed since the start; until then, its status is the stored one. */
    isObserved: (share: string): boolean => engine.view(share).observed !== null,
    /** The report of the program that serves the share's mount; null: none is known. */
    moving: (share: string) => engine.view(share).moving ?? null,
    takeCalls: gateway.takeCalls,
    handing: createServiceRelease({ ...parts, ...shares, clock, previous: options.previous }),
    /** The running `[server]` section; null if there is none. */
    server: (): ServerConfig | null => config.watcher.running.snapshot.config.server,
    /**
     * Reads the configuration file again and applies changes; resolves at commit. Does not reject if the file has
     * errors.
     */
    reload: (signal: AbortSignal): Promise<ReloadReport> => control.reload({}, signal),
    /** Aborts all work that a stop would wait for. */
    forceStop: (): void => force.abort(),
    [Symbol.asyncDispose](): Promise<void> {
      stopping ??= stop(options, parts, stack);
      return stopping;
    },
  };
}

async function readFlow(
  control: ReturnType<typeof createServiceControl>,
  { parts }: Pick<ServiceParts, "parts">,
): Promise<FlowEvent> {
  await parts.recount();
  const status = control.status();
  const { clients } = status.gateway === undefined ? { clients: [] } : await control.clients();
  return flowOf(status, clients);
}

function auditApprovals(
  { approvalStore, gateway, bus }: ServiceParts,
  clock: Clock,
  stack: DisposalStack,
): void {
  const audit = ({ name, entry, summary }: ApprovalTransition): void =>
    gateway.audit({ time: isoTime(clock.wallMs()), event: name, entry, summary });
  for (const transition of approvalStore.announcements()) audit(transition);
  stack.defer(
    bus.subscribe((transition) => {
      if (transition.name === "config.entry_waits" || transition.name === "config.entry_approved") {
        audit(transition);
      }
    }),
  );
}

async function stop(
  { clock, logger, unmountOnExit }: ServiceOptions,
  { memory, force, parts, shares, gateway, fleet, config, gatewayOwn }: ServiceParts,
  stack: DisposalStack,
): Promise<void> {
  const unmounts = unmountOnExit && !gatewayOwn.isHandedOver();
  const deadline = clock.setTimer(unmounts ? UNMOUNT_DEADLINE_MS : STOP_DEADLINE_MS, () => force.abort());
  shares.triggers.stop();
  // A configuration that is applied now would start cycles, and mount shares again.
  await config[Symbol.asyncDispose]();
  // Only begins to end the fleet's part: that part publishes this machine's last state while the other parts still
  // run. `stack` waits for the end.
  void fleet[Symbol.asyncDispose]();
  // Begins to end the gateway without waiting, so that calls end while shares are unmounted. `stack` waits for the
  // end.
  Promise.resolve(gateway[Symbol.asyncDispose]()).catch(() => {});
  if (unmounts) {
    // The engine stops its cycles, so that none follows an unmount.
    parts.engine.rest();
    const { results } = await shares.unmountAtExit(force.signal);
    for (const { share, result, detail } of results) {
      if (result !== "unmounted" && result !== "skipped") {
        logger.warn("left mounted at exit", { share, reason: detail });
      }
    }
  }
  await stack[Symbol.asyncDispose]();
  await memory.flush();
  deadline[Symbol.dispose]();
}
