// Commands without a daemon: while none runs, the daemon's own parts run in the command's process. Each starts when it is
// first needed; there are no timers, no listeners and no fleet.
import { join } from "node:path";
import type { Condition, VerifyFinding } from "../api/contract/contract.ts";
import type {
  WithoutDaemon,
  WithoutDaemonGateway,
  WithoutDaemonOperation,
  WithoutDaemonOptions,
} from "../api/in-process.ts";
import { gatewayOff } from "../api/operations/gateway-names.ts";
import { type Control, callerOf } from "../api/operations/operations.ts";
import { globalKeys } from "../config/schema/share-schema.ts";
import { sectionSettings } from "../config/section-settings.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../config/snapshot.ts";
import { openStateStore } from "../reconcile/state-file.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { ensurePrivateFolder } from "../runtime/files/durable-file.ts";
import { acquireHomeLock } from "../runtime/process/home-lock.ts";
import { systemClock as clock, isoTime, settlesWithin } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import type { ShareView } from "../shares/engine/share-cycle.ts";
import type { Prober } from "../shares/prober/prober.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { startApprovals } from "./approvals/start-approvals.ts";
import { moveOf, requireNotMoved } from "./compose/backup-records.ts";
import { type EngineParts, startEngineParts } from "./compose/engine-parts.ts";
import { wantsGateway } from "./compose/gateway-config.ts";
import { openHome } from "./compose/home.ts";
import { startCommandLog } from "./compose/log-settings.ts";
import { loopGuard, requireNoOwnBackend } from "./compose/loop-guard.ts";
import { packageFolders } from "./compose/package-folder.ts";
import { sealedPinStore } from "./compose/pin-store.ts";
import { createPrivatePaths, requirePrivateHere } from "./compose/private-paths.ts";
import { formerSubject, shareSubjects } from "./compose/share-subjects.ts";
import { homeSecrets, signInHome } from "./compose/stored-secrets.ts";
import { DAEMON_CONDITIONS, type DaemonCondition } from "./conditions/condition-rows.ts";
import { aliasStatuses, openAliasControl } from "./control/alias-control.ts";
import { idleGatewayStatus, withWaiting } from "./control/gateway-status.ts";
import { configWarningConditions, unconfiguredConditions } from "./control/global-conditions.ts";
import { createRequiredShares, type RequiredShares } from "./control/required-shares.ts";
import { createShareControl } from "./control/share-control.ts";
import { shareStatus } from "./control/share-status.ts";
import { verifyReport } from "./control/verify.ts";
import { logTransition, type ServiceTransition } from "./events/service-transitions.ts";
import { createGatewayPart } from "./gateway-part.ts";
import { approvalsReport, requireWaiting } from "./reload/approvals.ts";
import { openLocalFiles } from "./reload/config-file.ts";

/** Longest wait for another command's lock, ms. */
const LOCK_WAIT_MS = 10_000;

/**
 * Longest wait for the prober's process, ms. A command checks only once: without the wait, a slow start of that process
 * would look like a folder that gives no answer.
 */
const PROBER_STARTS_MS = 10_000;

const NOT_CHECKED: VerifyFinding = {
  share: null,
  severity: "warning",
  code: "gateway_not_running",
  text: "no daemon runs, so the gateway and its servers were not checked",
  hint: "mountaineer up",
};

/**
 * Opens the home for one command. One that only reads takes no lock, mounts nothing and writes nothing. Rejects with the same
 * errors as a start of the daemon.
 */
export async function openWithoutDaemon(options: WithoutDaemonOptions): Promise<WithoutDaemon> {
  const stack = createDisposalStack((error) =>
    process.stderr.write(`end was not clean: ${errorText(error)}\n`),
  );
  try {
    return await open(options, stack);
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}

type Open = Awaited<ReturnType<typeof openApproved>>;

async function open(options: WithoutDaemonOptions, stack: DisposalStack): Promise<WithoutDaemon> {
  const opened = await openApproved(options, stack);
  const { approvalStore, loaded, snapshot, startedAt } = opened;
  const { config } = snapshot;
  const secrets = homeSecrets({ ...opened, environment: process.env });
  const bound = once(() => secrets.bind(snapshot, options.signal));
  const boundParts = async () => ({ ...opened, snapshot: await bound(), values: secrets.values });
  const startsAhead = config.shares.length > 0;
  const prober = once(async () => stack.use(startProber({ clock, logger: opened.logger, startsAhead })));
  const shares = once(async () => openShares(options, await boundParts(), await prober(), stack));
  const openWith = (start: Start) => async () =>
    openGateway({ ...options, start, prober }, await boundParts(), shares, stack);
  const gateway = once(openWith("as-configured"));
  // For lists and single calls: starts only the called server, and servers whose lists are not cached.
  const onDemand = once(openWith("on-demand"));
  let isServing = false;
  const readyParts = async (signal: AbortSignal) => {
    isServing = true;
    const part = await onDemand();
    await part.whenStarted(signal);
    signal.throwIfAborted();
    return part;
  };
  const conditions = async (): Promise<Condition[]> => {
    const moved = await moveOf(options.home);
    const all = [
      ...(moved === null ? [] : [{ ...DAEMON_CONDITIONS.home_moved(moved), since: startedAt }]),
      ...configWarningConditions(snapshot),
      ...approvalStore.conditions(),
      ...(await (await shares()).conditions()),
    ];
    return all.map((one) => ({ ...one, since: one.since ?? startedAt }));
  };
  const gatewayStatus = async (signal: AbortSignal) => {
    if (!wantsGateway(config)) return {};
    await bound();
    const status = isServing
      ? (await readyParts(signal)).status()
      : idleGatewayStatus(config.backends, startedAt, secrets.values);
    return withWaiting(status, approvalStore.waitingConditions());
  };
  const control: Pick<Control, WithoutDaemonOperation> = {
    approvals: () => approvalsReport(approvalStore, loaded),
    async approve({ entries, loosen = false }) {
      const ids = requireWaiting(approvalStore, entries);
      approvalStore.applied(await approvalStore.judge(loaded, null, { ids, loosens: loosen }));
      return { approved: [...ids], reload: null, now: approvalsReport(approvalStore, loaded) };
    },
    async status(_, signal) {
      const observed = await (await shares()).status();
      const global = globalStatus(options.home, snapshot, await conditions());
      return { global, ...observed, ...(await gatewayStatus(signal)) };
    },
    async verify(request, signal) {
      const report = await (await shares()).control.verify(request, signal);
      if ((request.shares ?? null) !== null) return verifyReport(report, null);
      const around = { conditions: await conditions(), status: {}, backends: [] };
      const whole = verifyReport(report, around);
      return wantsGateway(config) ? { ...whole, findings: [NOT_CHECKED, ...whole.findings] } : whole;
    },
    async reconcile(request, signal) {
      const { control: ofShares, aliases } = await shares();
      const report = await ofShares.reconcile(request, signal);
      await aliases.reconcile(signal);
      return report;
    },
    mount: async (request, signal) => (await shares()).control.mount(request, signal),
    wake: async (request, signal) => (await shares()).control.wake(request, signal),
    unmount: async (request, signal) => (await shares()).control.unmount(request, signal),
    switchRoute: async (request, signal) => (await shares()).control.switchRoute(request, signal),
    aliases: async (...args) => (await shares()).control.aliases(...args),
    reconcileAliases: async (...args) => (await shares()).control.reconcileAliases(...args),
    tools: async (_, signal) => (await readyParts(signal)).control.tools(),
    catalog: async (_, signal) => (await readyParts(signal)).control.catalog(),
    people: async (request, signal) => (await readyParts(signal)).control.people(request),
    toolChanges: async (request, signal) => (await readyParts(signal)).control.toolChanges(request),
    call: async (request, signal) => (await readyParts(signal)).control.call(request, signal),
  };
  return {
    call: callerOf(control),
    gateway,
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

/** Locks the home for a command that changes it, loads the configuration, and finds what of it may run. */
async function openApproved(options: WithoutDaemonOptions, stack: DisposalStack) {
  const { home, configPath, intent, command, signal } = options;
  const changes = intent !== "look";
  if (changes) {
    await ensurePrivateFolder(home);
    stack.use(await acquireHomeLock(home, { command, waitMs: LOCK_WAIT_MS, clock, signal }));
  }
  const { homeContext, snapshot: loaded } = await openHome({ home, configPath });
  const log = stack.use(startCommandLog(changes ? { home, userHome: homeContext.userHome } : null));
  const { logger } = log;
  const publish = (transition: ServiceTransition): void => logTransition(logger, transition);
  const writes = intent === "approve";
  const parts = { homeContext, environment: process.env, snapshot: loaded, clock, logger, publish, writes };
  const { approvalStore, snapshot } = await startApprovals(parts, signal);
  stack.use(approvalStore);
  const redact = (secret: string): void => log.redact(secret);
  const startedAt = isoTime(clock.wallMs());
  return {
    home,
    homeContext,
    loaded,
    approvalStore,
    snapshot,
    clock,
    logger,
    publish,
    redact,
    startedAt,
    changes,
  };
}

/** Longest wait for the folders that backends require, ms. */
const FOLDERS_MS = 5_000;

type Start = "as-configured" | "on-demand";
type Bound = Open & Pick<ReturnType<typeof homeSecrets>, "values">;

async function openShares(
  { home }: WithoutDaemonOptions,
  opened: Bound,
  prober: Prober,
  stack: DisposalStack,
) {
  const { loaded, snapshot, values, logger, publish, redact, changes } = opened;
  const { config } = snapshot;
  const hasShares = config.shares.length > 0;
  const memory = stack.use(
    await openStateStore({ path: join(home, "state.json"), clock, logger, readOnly: !changes }),
  );
  const forceStop = new AbortController().signal;
  const announce = publish;
  const watched = { forceStop, announce, isInCharge: changes };
  const parts = stack.use(startEngineParts({ home, clock, logger, memory, prober, ...watched }));
  const { engine, drivers } = parts;
  if (changes) {
    const check = openLocalFiles({ ...parts, clock }).exposures;
    await createPrivatePaths({ home, check, clock, logger }).require(loaded);
  }
  const context = { environment: values, drivers, redact, intervalMs: null };
  if (hasShares) await prober.folderExists("/", PROBER_STARTS_MS);
  engine.apply(shareSubjects(config, context), (name) => formerSubject(name, config, context));
  const aliasService = stack.use(
    await openAliasControl({ home, clock, logger, parts, readOnly: !changes, first: config, publish }),
  );
  const { aliases } = aliasService;
  // A command that only reads needs one observation of each share. If the command changes something, the engine's
  // cycles have already observed it.
  const viewOf = (name: string) => (changes ? engine.view(name) : engine.observe(name));
  return {
    engine,
    control: { ...createShareControl(engine, clock, parts).control, ...aliasService.control },
    aliases,
    async status() {
      const views = await Promise.all(engine.names.map(viewOf));
      const links = changes ? [] : await aliases.check();
      return {
        shares: views.map(shareStatus),
        ...(links.length === 0 ? {} : { aliases: aliasStatuses(links) }),
      };
    },
    async conditions(): Promise<DaemonCondition[]> {
      return unconfiguredConditions(await engine.findUnconfigured());
    },
  };
}

/** Takes no lock and writes nothing into the home, so that any number of commands may have one. */
async function openGateway(
  {
    home,
    signal,
    start,
    prober,
  }: WithoutDaemonOptions & { readonly start: Start; readonly prober: () => Promise<Prober> },
  opened: Bound,
  shares: () => Promise<Pick<EngineParts, "engine">>,
  stack: DisposalStack,
) {
  const { homeContext, loaded, snapshot, values, logger, publish, redact } = opened;
  const environment = process.env;
  if (!wantsGateway(loaded.config)) throw gatewayOff();
  requireNoOwnBackend(loaded.path, environment);
  // It would renew the sign-ins that the home has taken elsewhere.
  await requireNotMoved(home);
  await requirePrivateHere(home, loaded);
  const { config } = snapshot;
  // Nothing mounts an unavailable share during the command, so no call waits for one.
  const backends = config.backends.map((one) => ({
    ...one,
    unavailableAfterMs: 0,
    ...(start === "on-demand" ? { start } : {}),
  }));
  const data = await observeRequired(config, shares, prober, stack);
  const sealed = { home, clock, environment };
  const part = stack.use(
    createGatewayPart({
      clock,
      logger,
      environment: values,
      programEnvironment: loopGuard(loaded.path, environment),
      packageFolder: packageFolders(homeContext.userHome, environment),
      signIn: signInHome(sealed),
      guarded: { homes: [home], configs: [loaded.path], userHome: homeContext.userHome },
      redact,
      ...(data === null ? {} : { data }),
      announce: publish,
      version: packageVersion(),
      pinStore: sealedPinStore(sealed, false),
      nameStore: sealedPinStore(sealed, false, "names"),
      // Read, never written: its key is made by a daemon.
      listStore: { ...sealedPinStore(sealed, false, "lists"), isOurs: false },
      listens: false,
      resolvePaths: async (paths, waitMs) => (await prober()).resolvePaths(paths, waitMs),
    }),
  );
  await part.start({ ...config, backends });
  signal.throwIfAborted();
  return part satisfies WithoutDaemonGateway;
}

/**
 * The shares that backends require. Each is observed at the start, and again when a call needs it while it is
 * unavailable; nothing is mounted. null: none is required.
 */
async function observeRequired(
  { backends }: MountaineerConfig,
  shares: () => Promise<Pick<EngineParts, "engine">>,
  prober: () => Promise<Prober>,
  stack: DisposalStack,
): Promise<RequiredShares | null> {
  const requires = backends.flatMap((backend) => backend.requires);
  if (requires.length === 0) return null;
  const { engine } = await shares();
  const views = new Map<string, ShareView>();
  const check = async (name: string): Promise<void> => {
    // A failed observation shows nothing about the share, which is then treated as unavailable.
    const view = await engine.observe(name).catch(() => null);
    if (view === null) views.delete(name);
    else views.set(name, view);
    required.recordCycle(name);
  };
  const observer = {
    names: engine.names,
    view: (name: string) => views.get(name) ?? engine.view(name),
    trigger() {},
    untilIdle: check,
    want: (name: string) => void check(name),
  };
  const required = stack.use(createRequiredShares({ clock, engine: () => observer, prober: await prober() }));
  const names = new Set(requires.map(({ share }) => share));
  await Promise.all(engine.names.filter((name) => names.has(name)).map(check));
  await settlesWithin(clock, FOLDERS_MS, required.foldersChecked(requires));
  return required;
}

/** Runs `begin` at the first call; all calls have its result. */
function once<T>(begin: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | null = null;
  return () => {
    begun ??= begin();
    return begun;
  };
}

function globalStatus(home: string, { path, config }: ConfigSnapshot, conditions: Condition[]) {
  return {
    version: packageVersion(),
    pid: null,
    started_at: null,
    config_path: path,
    home,
    ...sectionSettings(globalKeys, config.global),
    network_events: "off" as const,
    conditions,
  };
}
