// Actions on shares, backends and the daemon, the same in all user interfaces: label, question, and the
// request to the daemon.
import { firstNames, pluralize, shellCommand, shellWord } from "../../runtime/text/plain-text.ts";
import type { BackendStatus, ShareStatus, StatusReport } from "../contract/contract.ts";
import type { CallOperation } from "../operations/operations.ts";
import { type Outcome, outcome, reloadOutcome, stepsOutcome } from "./outcome-labels.ts";
import { onlyHost, preferredName } from "./share-labels.ts";

export interface Question {
  /** `Unmount CORE?` */
  readonly title: string;
  readonly text: string;
}

export interface Action {
  /** The words that identify the action: `switch`, `CORE`, `tb`. */
  readonly id: readonly string[];
  /** For typing and searching: `switch CORE to Thunderbolt`. */
  readonly name: string;
  /** For a button beside the subject: `Switch to Thunderbolt`. */
  readonly label: string;
  /** The command line that does the same. */
  readonly command: string;
  /** Asked before the action; null: the action is harmless. */
  readonly question: Question | null;
  /** False: the action would change nothing in the present state. */
  readonly isUseful: boolean;
  /** The action that reverts this one; absent if none does in one step. */
  readonly undo?: Action;
  /** `force`: even if files are open. Rejects with a MountaineerError. */
  perform(call: CallOperation, signal: AbortSignal, force: boolean): Promise<Outcome>;
}

/** Actions of each share, of all shares, of each backend, of all backends, and of the daemon. */
export function actionsFor({
  shares,
  backends = [],
}: Readonly<Pick<StatusReport, "backends">> & {
  readonly shares: readonly ShareStatus[];
}): readonly Action[] {
  return [
    ...shares.flatMap(shareActions),
    ...(shares.length === 0 ? [] : allSharesActions(shares)),
    ...backends.flatMap(backendActions),
    ...(backends.length === 0 ? [] : [restartAction(null, "all servers", backends)]),
    {
      id: ["reload"],
      name: "reload the configuration",
      label: "Reload configuration",
      command: "mountaineer reload",
      question: null,
      isUseful: true,
      perform: async (call, signal) => reloadOutcome(await call("reload", {}, signal)),
    },
    {
      id: ["hand-over"],
      name: "restart the daemon",
      label: "Restart daemon",
      command: "mountaineer restart",
      question: {
        title: "Restart the daemon?",
        text: "Shares stay mounted, and calls in flight are finished.",
      },
      isUseful: true,
      async perform(call, signal) {
        const { from, to, version } = await call("handOver", null, signal);
        return outcome("good", `process ${to} (version ${version}) takes over from ${from}`);
      },
    },
  ];
}

export function actionWith(actions: readonly Action[], ...id: readonly string[]): Action | null {
  return actions.find((action) => sameId(action.id, id)) ?? null;
}

function sameId(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((part, index) => part === other[index]);
}

/** The question to ask if an action has failed because of open files; null: no files were open. */
export function busyQuestion({ name }: Action, { results }: Outcome): Question | null {
  if (!results.some(({ result }) => result === "busy")) return null;
  const holders = results.flatMap((result) => result.holders);
  const shown = firstNames(holders, ({ command, pid }) => `${command} (${pid})`, HOLDERS_SHOWN);
  const where = shown === "" ? "" : ` in ${shown}`;
  return {
    title: `${sentence(name)} anyway?`,
    text: `Files are open${where}. Unsaved changes in them are lost.`,
  };
}

const HOLDERS_SHOWN = 3;

/** The text with its first letter in upper case: `Mount CORE`. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function shareActions(share: ShareStatus): readonly Action[] {
  const { name, active_interface: route, override, tb_reachable: tbAnswers, fb_reachable: fbAnswers } = share;
  const isMounted = share.mount_state === "mounted";
  const to = (
    target: "tb" | "fallback" | "auto",
    command: string,
    label: string,
    isUseful: boolean,
  ): Action => ({
    id: ["switch", name, target],
    name: `switch ${name} ${command}`,
    label,
    command: shellCommand`mountaineer switch --share ${name} --to ${target}`,
    question: null,
    isUseful,
    async perform(call, signal, force) {
      const request = { shares: [name], to: target, force, wait: false };
      return stepsOutcome((await call("switchRoute", request, signal)).results);
    },
  });
  const isSecond = route === "fallback";
  const preferred = preferredName(share);
  const automatic = to("auto", "back to automatic", "Back to automatic", override === "fallback");
  const switches = [
    to("tb", `to ${preferred}`, `Switch to ${preferred}`, isMounted && route !== "tb" && tbAnswers),
    {
      ...to(
        "fallback",
        "to Fallback",
        isSecond ? "Stay on Fallback" : "Switch to Fallback",
        isMounted && override !== "fallback" && (isSecond || fbAnswers),
      ),
      undo: automatic,
    },
    automatic,
  ];
  return [
    mountAction([name], name, !isMounted),
    ...(onlyHost(share) === null ? switches : []),
    checkAction([name], name),
    newServerAction(
      name,
      share.conditions.some(({ code }) => code === "different_servers"),
    ),
    wakePacketAction(name, !tbAnswers && !fbAnswers),
    unmountAction([name], name, isMounted),
  ];
}

function allSharesActions(shares: readonly ShareStatus[]): readonly Action[] {
  return [
    mountAction(
      null,
      "all shares",
      shares.some(({ mount_state }) => mount_state !== "mounted"),
    ),
    unmountAction(
      null,
      "all shares",
      shares.some(({ mount_state }) => mount_state !== "unmounted"),
      shares.flatMap(({ name, override }) => (override === "unmounted" ? [] : [name])),
    ),
    checkAction(null, "all shares"),
  ];
}

/**
 * Makes an action that asks no question. `word`: the first word of the action's id; `shares` null: all
 * shares.
 */
function stepsAction(
  verb: string,
  operation: "mount" | "wake" | "reconcile",
  shares: readonly string[] | null,
  { name, label, isUseful }: Pick<Action, "name" | "label" | "isUseful">,
): Action {
  return {
    id: [verb, ...(shares ?? [])],
    name,
    label,
    command: sharesCommand(operation, shares),
    question: null,
    isUseful,
    perform: async (call, signal) => stepsOutcome((await call(operation, { shares }, signal)).results),
  };
}

/** Accepts the server that answers as the share's new one. */
function newServerAction(share: string, isUseful: boolean): Action {
  return {
    id: ["new-server", share],
    name: `accept the new NAS of ${share}`,
    label: "It is my new NAS",
    command: shellCommand`mountaineer mount --share ${share} --new-server`,
    question: {
      title: `Accept the new NAS of ${share}?`,
      text: "Your login and what programs write go to it from now on.",
    },
    isUseful,
    perform: async (call, signal) =>
      stepsOutcome((await call("mount", { shares: [share], new_server: true }, signal)).results),
  };
}

function sharesCommand(operation: string, shares: readonly string[] | null): string {
  return `mountaineer ${operation}${(shares ?? []).map((share) => shellCommand` --share ${share}`).join("")}`;
}

function mountAction(shares: readonly string[] | null, what: string, isUseful: boolean): Action {
  const label = shares === null ? "Mount all" : "Mount";
  return stepsAction("mount", "mount", shares, { name: `mount ${what}`, label, isUseful });
}

function wakePacketAction(share: string, isUseful: boolean): Action {
  const name = `wake the NAS of ${share}`;
  return stepsAction("wake", "wake", [share], { name, label: "Wake its NAS", isUseful });
}

/** `wanted`: the shares that the undo mounts again. Shares that a person had unmounted before are left out. */
function unmountAction(
  shares: readonly string[] | null,
  what: string,
  isUseful: boolean,
  wanted = shares,
): Action {
  return {
    id: ["unmount", ...(shares ?? [])],
    name: `unmount ${what}`,
    label: shares === null ? "Unmount all" : "Unmount",
    command: sharesCommand("unmount", shares),
    question: {
      title: `Unmount ${what}?`,
      text: `${shares === null ? "They stay" : "It stays"} unmounted until you mount ${shares === null ? "them" : "it"} again.`,
    },
    isUseful,
    ...(wanted?.length === 0 ? {} : { undo: mountAction(wanted, what, true) }),
    perform: async (call, signal, force) =>
      stepsOutcome((await call("unmount", { shares, force }, signal)).results),
  };
}

function checkAction(shares: readonly string[] | null, what: string): Action {
  const label = shares === null ? "Check all now" : "Check now";
  return stepsAction("check", "reconcile", shares, { name: `check ${what} now`, label, isUseful: true });
}

function backendActions(backend: BackendStatus): readonly Action[] {
  const { name, routes } = backend;
  const to = (target: string, command: string, label: string, isUseful: boolean): Action => ({
    id: ["route", name, target],
    name: `switch ${name} ${command}`,
    label,
    command: shellCommand`mountaineer switch --backend ${name} --to ${target}`,
    question: null,
    isUseful,
    async perform(call, signal) {
      const { result, detail } = await call("switchBackend", { backend: name, to: target }, signal);
      const tone = result === "switched" ? "good" : result === "skipped" ? "plain" : "bad";
      return outcome(tone, `${name}: ${detail}`);
    },
  });
  const override = routes?.override ?? null;
  const automatic = to("auto", "back to automatic", "Back to automatic", override !== null);
  const undo =
    override === null ? automatic : to(override, `back to route ${override}`, `Back to ${override}`, true);
  return [
    restartAction([name], name, [backend]),
    ...(routes?.list ?? []).map((route) => ({
      ...to(route.name, `to route ${route.name}`, `Switch to ${route.name}`, !route.in_use),
      undo,
    })),
    ...(routes === undefined ? [] : [automatic]),
  ];
}

/** `names`: null means all backends. */
export function restartAction(
  names: readonly string[] | null,
  what: string,
  backends: readonly BackendStatus[],
): Action {
  const inFlight = backends.reduce((sum, backend) => sum + backend.in_flight, 0);
  const sleeps = names !== null && backends.every(({ phase }) => phase === "Asleep");
  const calls = inFlight === 0 ? "" : ` Its ${pluralize(inFlight, "call")} in flight will be finished.`;
  return {
    id: ["restart", ...(names?.length === 1 ? names : [])],
    name: `restart ${what}`,
    label:
      names === null
        ? "Restart all"
        : sleeps
          ? "Start now"
          : names.length === 1
            ? "Restart"
            : `Restart these ${names.length}`,
    command: `mountaineer backends restart${(names ?? ["--all"]).map((each) => ` ${shellWord(each)}`).join("")}`,
    question: sleeps
      ? null
      : {
          title: `Restart ${what}?`,
          text: `The running one serves until the new one is ready.${calls}`,
        },
    isUseful: backends.some(({ enabled }) => enabled),
    async perform(call, signal) {
      const { restarted } = await call("restart", { backends: names }, signal);
      return restarted.length === 0
        ? outcome("plain", `${what}: nothing to restart`)
        : outcome("good", `${restarted.join(", ")}: restarting; serves when it is ready`);
    },
  };
}
