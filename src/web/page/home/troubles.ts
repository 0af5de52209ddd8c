// Lists what is wrong, the worst first, each with its remedy. Pure.
import type {
  BackendStatus,
  Condition,
  GlobalStatus,
  ShareStatus,
  StatusReport,
} from "../../../api/contract/contract.ts";
import { type Action, actionsFor, actionWith, sentence } from "../../../api/labels/actions.ts";
import { backendLabel } from "../../../api/labels/backend-labels.ts";
import {
  SEVERITY_TONES,
  type StateLabel,
  type Tone,
  troublesOf,
  WAITING_CODE,
  worstFirst,
} from "../../../api/labels/label.ts";
import { mergeTroubles, SERVERS_WAIT } from "../../../api/labels/merge-troubles.ts";
import { preferredName, readyText, secondBestHint, shareLabel } from "../../../api/labels/share-labels.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import type { PageState } from "../daemon/live.ts";
import { openedAddress } from "../parts/opened.ts";
import { isWhole } from "../parts/text.ts";

export interface Trouble {
  readonly tone: Tone;
  /** The share or backend; null: the daemon as a whole. */
  readonly about: string | null;
  readonly text: string;
  readonly hint: string | null;
  /** The remedy; null if no button can help. */
  readonly action: Action | null;
  /** The part of the page's address behind `#/` that leads to the view with details. */
  readonly at: string;
  /** The links that help, in their order; never empty unless `action` is there. */
  readonly steps: readonly Step[];
}

interface Step {
  readonly label: "Answer" | "Approve" | "Logs" | "Set" | "Show" | "Sign in";
  /** As `at` of a trouble. */
  readonly at: string;
  /** The right without which the step cannot be taken in a tab; a locked tab has the button *Unlock* in its place. */
  readonly needs?: "owner" | "commands";
}

/** Code of the gateway's condition while a call waits for the owner's answer. */
export const QUESTION_CODE = "question_waits";

export function findTroubles(status: StatusReport, approvals: PageState["approvals"]): readonly Trouble[] {
  const { covered, status: report } = mergeTroubles(status);
  const { global, gateway, shares, backends = [] } = report;
  const waiting = approvals?.waiting.length ?? 0;
  // One trouble covers all waiting entries, so the conditions about them are left out.
  const isCovered = ({ code }: Condition): boolean => waiting > 0 && code === WAITING_CODE;
  const general = (conditions: readonly Condition[], at: string): readonly Trouble[] =>
    troublesOf(conditions)
      .filter((condition) => !isCovered(condition))
      .map(({ code, severity, title, hint }) => ({
        ...{ tone: SEVERITY_TONES[severity], about: null, text: title, hint, action: null, at },
        steps: code === QUESTION_CODE ? [ANSWER] : code === WAITING_CODE ? [APPROVE] : stepsFor(hint, at),
      }));
  const troubles = [
    ...general(global.conditions, "settings/about"),
    ...general(gateway?.conditions ?? [], "servers"),
    ...merged(shares.flatMap((share) => shareTrouble(share, global))),
    ...backends
      .filter(({ name }) => !covered.has(name))
      .filter(({ enabled, conditions }) => enabled || !conditions.some(isCovered))
      .map((backend) => ({ ...backend, conditions: backend.conditions.filter((each) => !isCovered(each)) }))
      .flatMap((backend) =>
        troubleOf(backend, backendLabel(backend), backendRepair(backend), "servers").map((trouble) =>
          withLogs(trouble, backend),
        ),
      ),
    ...(waiting === 0 ? [] : [waitingTrouble(waiting)]),
  ];
  return worstFirst(troubles, ({ tone }) => tone);
}

/** The command that a hint gives; null: it has none that can be run as it is. */
export function commandOf(hint: string): string | null {
  const command =
    /`((?:mountaineer|npm|sudo|curl|uv|pip|brew) [^`]+)`/.exec(hint)?.[1] ?? COMMAND.exec(hint)?.[0];
  return command === undefined || !isWhole(command) ? null : command;
}

const COMMAND = /\bmountaineer [a-z]+(?: [\w./@:='"-]+)+/;

/** A share that is only on its second route gets no button, because only plugging in the cable helps. */
function shareTrouble(share: ShareStatus, global: GlobalStatus): readonly Trouble[] {
  const hint = secondBestHint(share, global);
  if (hint === null)
    return troubleOf(share, shareLabel(share), shareRepair(share), "shares", readyText(share, global));
  const text = `mounted over Fallback, ${preferredName(share)} ${share.tb_reachable ? "answers again" : "does not answer"}`;
  const at = addressOf("shares", share.name);
  return [{ tone: "warning", about: share.name, text, hint, action: null, at, steps: stepsFor(null, at) }];
}

/** Merges equal troubles of several shares, such as a lost cable of their NAS. */
function merged(troubles: readonly Trouble[]): readonly Trouble[] {
  const groups = Map.groupBy(troubles, ({ about, text, hint, action }) =>
    action === null ? `${text} ${hint}` : about,
  );
  return [...groups.values()].flatMap((alike) => {
    const [first] = alike;
    if (first === undefined) return [];
    return [{ ...first, about: alike.map(({ about }) => about).join(", ") }];
  });
}

/** `Degraded: no answer`; only the reason if it begins with the state, as in `failed 5 times in a row`. */
function stateAndWhy(text: string, why: string | null): string {
  if (why === null) return text;
  return why.toLowerCase().startsWith(text.toLowerCase()) ? sentence(why) : `${text}: ${why}`;
}

function troubleOf(
  { name, conditions }: Pick<ShareStatus | BackendStatus, "name" | "conditions">,
  { text, tone, why }: StateLabel,
  action: Action | null,
  view: "shares" | "servers",
  elseHint: string | null = null,
): readonly Trouble[] {
  if (tone !== "bad" && tone !== "warning") return [];
  const hint = troublesOf(conditions)[0]?.hint ?? elseHint;
  const waiting = conditions.find(({ code }) => code === SERVERS_WAIT);
  const also = waiting === undefined ? "" : `; ${waiting.title}`;
  const at = addressOf(view, name);
  const isPending = conditions.some(({ code }) => code === WAITING_CODE);
  const steps = isPending ? [APPROVE] : action === null ? stepsFor(hint, at) : [];
  return [{ tone, about: name, text: `${stateAndWhy(text, why)}${also}`, hint, action, at, steps }];
}

const ANSWER: Step = { label: "Answer", at: "home", needs: "owner" };
const APPROVE: Step = { label: "Approve", at: "settings/approvals" };

/** The step of a hint's command that the page can take; else the view with the details. */
function stepsFor(hint: string | null, at: string): readonly Step[] {
  const command = hint === null ? null : commandOf(hint);
  if (command?.startsWith("mountaineer secret set ")) return [{ label: "Set", at: "settings/secrets" }];
  if (command?.startsWith("mountaineer backends login "))
    return [{ label: "Sign in", at, needs: "commands" }];
  return [{ label: "Show", at }];
}

/** Of a program that does not run, its own lines say most. */
function withLogs(trouble: Trouble, { name, type, phase, enabled }: BackendStatus): Trouble {
  const isShown = trouble.steps.every(({ label }) => label === "Show");
  if (type !== "stdio" || !enabled || phase === "Ready" || !isShown) return trouble;
  return { ...trouble, steps: [{ label: "Logs", at: addressOf("servers", name, "logs") }] };
}

function addressOf(view: string, name: string, part?: string): string {
  return openedAddress(view, name, part).slice(2);
}

function shareRepair(share: ShareStatus): Action | null {
  const actions = actionsFor({ shares: [share] });
  const of = (...id: readonly string[]): Action | null => actionWith(actions, ...id);
  if (share.tb_recovery_pending) return of("switch", share.name, "tb");
  const newServer = of("new-server", share.name);
  if (newServer?.isUseful === true) return newServer;
  return share.mount_state === "mounted" ? of("check", share.name) : of("mount", share.name);
}

function backendRepair(backend: BackendStatus): Action | null {
  const actions = actionsFor({ shares: [], backends: [backend] });
  const pending = backend.routes?.recovery_pending ?? null;
  if (pending !== null) return actionWith(actions, "route", backend.name, pending.route);
  // A restart brings no missing secret or program: the hint has the command for it.
  const command = commandOf(troublesOf(backend.conditions)[0]?.hint ?? "") ?? LOGS;
  return backend.phase === "Ready" || !command.startsWith(LOGS)
    ? null
    : actionWith(actions, "restart", backend.name);
}

const LOGS = "mountaineer backends logs";

function waitingTrouble(count: number): Trouble {
  const text = `${pluralize(count, "change")} ${count === 1 ? "waits" : "wait"} for your approval`;
  const { at } = APPROVE;
  return { tone: "warning", about: null, text, hint: null, action: null, at, steps: [APPROVE] };
}
