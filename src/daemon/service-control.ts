// The operations of the running service: those of its parts, and the status of all of them.
import type { Condition, StatusReport } from "../api/contract/contract.ts";
import type { Control } from "../api/operations/operations.ts";
import { globalKeys } from "../config/schema/share-schema.ts";
import { sectionSettings } from "../config/section-settings.ts";
import { nasOf } from "../config/snapshot.ts";
import { createSinceTracker, type FoundCondition } from "../runtime/conditions/conditions.ts";
import { changedCopies, uncopiedBecause } from "../runtime/process/build-copy.ts";
import { firstNames } from "../runtime/text/plain-text.ts";
import { packageVersion } from "../runtime/version.ts";
import type { ConditionName } from "./conditions/condition-rows.ts";
import { aliasStatus } from "./control/alias-control.ts";
import { withWaiting } from "./control/gateway-status.ts";
import { globalConditions } from "./control/global-conditions.ts";
import { withOwn } from "./control/own-accounts.ts";
import { createReadFaults } from "./control/read-faults.ts";
import { shareStatus } from "./control/share-status.ts";
import { verifyReport } from "./control/verify.ts";
import type { ServiceOptions, ServiceParts } from "./service-parts.ts";

export function createServiceControl(
  { home, clock, logger, environment, intervalMs, copiedFrom = null }: ServiceOptions,
  {
    memory,
    parts: { engine },
    startedAt,
    snapshot,
    privacy,
    notifications,
    shares: { control: shares, aliasService, triggers, traffic },
    gateway,
    fleet,
    config,
    approvalStore,
    secrets,
    secondConfig,
  }: ServiceParts & { readonly secondConfig: { readonly found: readonly string[] } },
) {
  const { aliases } = aliasService;
  const sources = {
    memory,
    copiedFrom,
    networkEvents: triggers.networkEvents,
    running: () => config.watcher.running.snapshot,
    sync: () => config.watcher.state,
    historyUnsavedBecause: () => config.historyUnsavedBecause,
    left: () => engine.knownUnconfigured,
    unreadSecretFiles: () => secrets.unreadFilesOf(config.watcher.running.snapshot),
    secondConfigs: () => secondConfig.found,
    changedCopies,
    uncopiedBecause,
  };
  const faults = createReadFaults(logger);
  const sinceTracker = createSinceTracker(clock);
  const found = (): FoundCondition<ConditionName>[] => [
    ...globalConditions(sources),
    ...aliases.conditions(),
    ...notifications.conditions(),
    ...approvalStore.conditions(),
    ...privacy.conditions(),
    ...fleet.conditions(),
  ];
  const conditions = (): Condition[] =>
    sinceTracker([...faults.read("the daemon", found, []), ...faults.conditions()]);

  return {
    ...shares,
    ...aliasService.control,
    ...gateway.control,
    ...config.control,
    ...fleet.control,
    status: (): StatusReport => {
      const { global, nas, fleet: ownFleet } = config.watcher.running.snapshot.config;
      const parts = {
        shares: engine.names.flatMap((name) =>
          faults.read(`share ${name}`, () => {
            const whose = nasOf({ nas: nas ?? {} }, name);
            return [
              {
                ...shareStatus(engine.view(name)),
                ...traffic.of(name),
                ...(whose === null ? {} : { nas: whose }),
              },
            ];
          }, []),
        ),
        ...faults.read("the aliases", () => aliasStatus(aliases), {}),
        ...faults.read(
          "the gateway",
          () => withWaiting(gateway.status(), approvalStore.waitingConditions()),
          {},
        ),
      };
      return {
        global: {
          version: packageVersion(),
          pid: process.pid,
          started_at: startedAt,
          config_path: snapshot.path,
          home,
          ...sectionSettings(globalKeys, {
            ...global,
            checkIntervalMs: intervalMs ?? global.checkIntervalMs,
          }),
          network_events: triggers.networkEvents(),
          ...(ownFleet === null ? {} : { in_fleet: true }),
          conditions: conditions(),
        },
        ...parts,
      };
    },
    async people(request, signal) {
      const known = await gateway.control.people(request);
      const rules = { config: config.watcher.running.snapshot.config, values: secrets.values };
      const report = await withOwn(known, { home, clock, environment }, rules, signal);
      const reason = await config.unusedFileBecause(signal);
      return reason === null ? report : { ...report, file_not_in_use: reason };
    },
    async switchTools(request) {
      const report = await gateway.control.switchTools(request);
      const names = firstNames(report.switched, String);
      if (names !== "") await config.remark(`${names} switched ${request.on ? "on" : "off"}`);
      return report;
    },
    reconcile(request, signal) {
      aliases.trigger("user");
      return shares.reconcile(request, signal);
    },
    async verify(request, signal) {
      const report = await shares.verify(request, signal);
      const isWhole = (request.shares ?? null) === null;
      const { backends } = config.watcher.running.snapshot.config;
      const around = { conditions: conditions(), status: gateway.status(), backends };
      return verifyReport(report, isWhole ? around : null);
    },
  } satisfies Partial<Control>;
}
