// Events of the daemon as one line for people. Pure.
import { textOf, textOrNull } from "../../runtime/text/json-object.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import { localClock } from "../../runtime/time/clock.ts";
import type { StreamEvent } from "../contract/contract.ts";
import type { LogLine } from "../contract/records.ts";
import { sentence } from "./actions.ts";
import { phaseLabel } from "./backend-labels.ts";
import { type Label, msText, routeLabel, type Tone } from "./label.ts";

export interface EventLabel extends Label {
  /** `transition` name or `sync`, as the log has it. */
  readonly name: string;
  /** The share, backend or configuration entry; null: the daemon. */
  readonly about: string | null;
  /** A program or a client got this error. */
  readonly hasImpact?: true;
  /** The route that was lost, in a failover. */
  readonly cable?: string;
}

/** Successful mounts and moves. */
export const ARRIVALS: ReadonlySet<string> = new Set([
  ...["share.mounted", "share.failover", "share.recovered", "share.switched", "share.remounted"],
  ...["backend.ready", "backend.failover", "backend.recovered", "backend.switched"],
]);

type Fields = Readonly<Record<string, unknown>>;

/** null: the event is not shown to people. */
export function eventLabel(event: StreamEvent): EventLabel | null {
  switch (event.kind) {
    case "sync":
      return {
        name: "sync",
        about: null,
        text: `Configuration: ${event.event.details}`,
        tone: event.event.type === "error" ? "bad" : event.event.type === "changed" ? "good" : "plain",
      };
    case "transition":
      return transitionLabel(event.transition);
    case "sync_state":
    case "gap":
    case "flow":
      return null;
  }
}

/** Returns the transition in a log line; null if the line reports no transition. */
export function transitionOf({ message, fields = {} }: Pick<LogLine, "message" | "fields">) {
  return TRANSITION_NAME.test(message) ? { ...fields, name: message } : null;
}

const TRANSITION_NAME = /^[a-z]+\.[a-z_]+$/;

/** A line of the log in words; null: it is routine and not shown to people. */
export function logLabel({ message, fields = {} }: Pick<LogLine, "message" | "fields">): EventLabel | null {
  if (message === "config.applied")
    return { name: message, about: "Configuration", text: textOf(fields["summary"]), tone: "plain" };
  const label = transitionLabel({ ...fields, name: message });
  return label && { ...label, text: sentence(label.text) };
}

/** `fields`: the fields of a transition, as in the log and in the event stream. */
export function transitionLabel(fields: Fields): EventLabel | null {
  const name = textOf(fields["name"]);
  const about = textOrNull(fields["share"]) ?? textOrNull(fields["backend"]) ?? textOrNull(fields["entry"]);
  const render = TEXTS[name];
  // `backend.ready` says the same, and with how many tools.
  const isStarted = fields["from"] === "Starting" && fields["to"] === "Ready";
  if (render === null || isStarted) return null;
  const [tone, text] = render === undefined ? ["plain" as const, plainText(name, fields)] : render(fields);
  const cable =
    name === "share.failover" ? { cable: sentence(routeLabel(fields["from"], fields["tb_link"])) } : {};
  return { name, about, text, tone, ...(hasImpact(name, fields) ? { hasImpact: true } : {}), ...cable };
}

function hasImpact(name: string, fields: Fields): boolean {
  const hasCut =
    name === "share.unmounted" && fields["forced"] === true && numberOf(fields["open_files"]) > 0;
  return hasCut || name === FILE_LOST || numberOf(fields["cut"]) > 0;
}

const FILE_LOST = "a file of a program is not the same";
const ABSENT = " while no daemon answered";

type Renderer = (fields: Fields) => readonly [Tone, string];

const because = (fields: Fields): string => {
  const reason = textOrNull(fields["reason"]);
  // Leaves out the beginning `HOST is gone: HOST: `. Every user interface shows the host anyway, and an
  // earlier event has reported the loss.
  return reason === null ? "" : `: ${reason.replace(/^(\S+) is gone: \1(?::\d+)?: /, "")}`;
};
const moved =
  (tone: Tone, verb: string): Renderer =>
  (fields) => [
    tone,
    `${verb} from ${routeLabel(fields["from"], fields["tb_link"])} to ${routeLabel(fields["to"], fields["tb_link"])}${took(fields)}${
      fields["moved"] === true ? "; the mount stays" : ""
    }${because(fields)}`,
  ];
const rendered =
  (tone: Tone, text: string): Renderer =>
  (fields) => [tone, `${text}${because(fields)}`];

/** Texts by transition name or message; null: it is routine and not shown to people. */
const TEXTS: Readonly<Record<string, Renderer | null>> = {
  "share.route_up": (fields) => [
    "good",
    sentence(`${routeLabel(fields["route"], fields["tb_link"])} answers`),
  ],
  "share.route_down": (fields) => ["warning", goneText(fields)],
  "share.adopted": (fields) => [
    "plain",
    `Found mounted over ${routeLabel(fields["route"], fields["tb_link"])}`,
  ],
  "share.vanished": rendered("warning", "The mount vanished"),
  "share.mount_attempt": null,
  "share.open_files_checked": null,
  "share.mounted": (fields) => [
    "good",
    `Mounted over ${routeLabel(fields["to"], fields["tb_link"])}${took(fields)}`,
  ],
  "share.mount_failed": (fields) => [
    "bad",
    `Mounting over ${routeLabel(fields["route"], fields["tb_link"])} failed${because(fields)}`,
  ],
  "share.move_failed": (fields) => [
    "bad",
    `Moving to ${routeLabel(fields["route"], fields["tb_link"])} failed${because(fields)}`,
  ],
  "share.unmounted": rendered("plain", "Unmounted"),
  "share.unmount_failed": rendered("bad", "Unmounting failed"),
  "share.failover": moved("warning", "Failed over"),
  "share.recovered": moved("good", "Went back"),
  "share.recovery_failed": moved("bad", "Going back failed,"),
  "share.switched": moved("good", "Switched"),
  "share.remounted": moved("plain", "Mounted again"),
  "share.recovery_deferred": rendered("warning", "Not returning yet"),
  "share.tb_ready": rendered("warning", "TB Ready"),
  "share.tb_ready_cleared": rendered("plain", "No longer TB Ready"),
  "share.override": (fields) => ["plain", overrideText(fields["to"])],
  "share.networks": rendered("plain", "Also mounted on these networks"),
  "share.error": rendered("bad", "Error"),
  "share.error_cleared": rendered("good", "Error is over"),
  "share.condition": rendered("bad", "Problem"),
  "share.condition_over": rendered("good", "Solved"),
  [FILE_LOST]: (fields) => [
    "bad",
    `${sentence(FILE_LOST)}: ${textOf(fields["path"])}${because({ reason: fields["why"] })}`,
  ],
  "share.unmanaged": rendered("plain", "No longer managed; its mount stays"),
  "backend.started": null,
  "backend.phase": (fields) => [
    fields["to"] === "Failed" ? "bad" : fields["to"] === "Degraded" ? "warning" : "plain",
    `${phaseOf(fields["from"])} → ${phaseOf(fields["to"])}${because(fields)}`,
  ],
  "backend.ready": (fields) => [
    "good",
    `Ready with ${pluralize(numberOf(fields["tools"]), "tool")}${took(fields)}`,
  ],
  "backend.ended": (fields) => ["bad", `Ended${because(fields)}`.replace(": ended", "")],
  "backend.replaced": (fields) => [
    "good",
    `A new instance serves; ${pluralize(numberOf(fields["draining"]), "call")} left with the old one`,
  ],
  "backend.change_failed": rendered(
    "bad",
    "The changed configuration does not start; the old one stays in use",
  ),
  "backend.failover": moved("warning", "Failed over"),
  "backend.recovered": moved("good", "Went back"),
  "backend.switched": moved("good", "Switched"),
  "backend.route_ready": (fields) => [
    "warning",
    `Route ${textOf(fields["route"])} is ready${because(fields)}`,
  ],
  "backend.route_ready_cleared": (fields) => ["plain", `Route ${textOf(fields["route"])} no longer waits`],
  "backend.drained": (fields) => ["plain", `The old instance is drained${cutText(fields)}`],
  "catalog.changed": (fields) => [
    "plain",
    `The catalog has ${pluralize(numberOf(fields["tools"]), "tool")} now (${listOf(fields["added"]).length} added, ${listOf(fields["removed"]).length} removed)`,
  ],
  "catalog.collision": (fields) => [
    "warning",
    `${textOf(fields["kept"])} and ${textOf(fields["hidden"])} both offer ${textOf(fields["kind"])} ${textOf(fields["entry"])}; the first is published`,
  ],
  "catalog.tools_pinned": null,
  "catalog.tool_changed": (fields) => [
    "warning",
    `${entryOf(fields)} differs from the approved version${fields["withheld"] === true ? "; it is withheld" : ""}`,
  ],
  "catalog.tool_new": (fields) => [
    "warning",
    `${entryOf(fields)} is new${fields["withheld"] === true ? "; it is withheld" : ""}`,
  ],
  "config.applied": null,
  "config error cleared": rendered("good", "The configuration file is in use again"),
  "config.rejected": rendered("bad", "The configuration was rejected"),
  "config.entry_waits": (fields) => ["warning", `Waits for approval: ${textOf(fields["summary"])}`],
  "config.entry_approved": (fields) => ["good", `Approved: ${textOf(fields["summary"])}`],
  "question.asked": (fields) => ["warning", `${textOf(fields["tool"])} waits for your answer`],
  "question.answered": (fields) => ["plain", `You have answered a call of ${textOf(fields["tool"])}`],
  "gateway.listening": (fields) => ["good", `The gateway listens at ${textOf(fields["url"])}`],
  "gateway.listen_failed": rendered("bad", "The gateway cannot listen"),
  "gateway.stopped_listening": rendered("plain", "The gateway no longer listens"),
  "a server's protocol version was found": null,
  "network events flow": null,
  "network.changed": (fields) => ["plain", `Network: ${listOf(fields["reasons"]).map(textOf).join("; ")}`],
};

function overrideText(to: unknown): string {
  if (to === "fallback") return "Kept on Fallback by hand";
  return to === "unmounted" ? "Kept unmounted by hand" : "Back to automatic";
}

/**
 * `Thunderbolt is gone: connection refused`, without the host and port, which every user interface shows
 * anyway.
 */
function goneText(fields: Fields): string {
  const [reason, host] = [textOf(fields["reason"]), textOf(fields["host"])];
  const rest = host !== "" && reason.startsWith(host) ? reason.slice(host.length) : reason;
  const why = rest.replace(/^(?::\d+)?[: ]+/, "");
  const label = sentence(routeLabel(fields["route"], fields["tb_link"]));
  if (why.startsWith("is ")) return `${label} ${why}`;
  return why === "" ? `${label} is gone` : `${label} is gone: ${why}`;
}

function plainText(name: string, fields: Fields): string {
  if (name.endsWith(ABSENT)) return absentText(name.slice(0, -ABSENT.length), fields);
  const parts = Object.entries(fields)
    .filter(
      ([key, value]) =>
        !["name", "share", "backend", "entry", "code", "pid", "lane"].includes(key) &&
        typeof value !== "object",
    )
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${String(value)}`);
  return [TRANSITION_NAME.test(name) ? name.replaceAll(/[._]/g, " ") : name, ...parts].join(", ");
}

/** What a mount program did on its own: `Moved to Fallback at 03:00:12, while no daemon answered`. */
function absentText(is: string, fields: Fields): string {
  const to = textOrNull(fields["to"]);
  const at = new Date(textOf(fields["at"]));
  const moved = `${sentence(is.replaceAll("_", " "))}${to === null ? "" : ` to ${routeLabel(to)}`}${took(fields)}`;
  return `${moved}${Number.isNaN(at.getTime()) ? "" : ` at ${localClock(at)}`},${ABSENT}`;
}

function took(fields: Fields): string {
  const ms = fields["duration_ms"] ?? fields["took_ms"];
  return typeof ms === "number" ? ` in ${msText(ms)}` : "";
}

function cutText(fields: Fields): string {
  const cut = numberOf(fields["cut"]);
  return cut === 0 ? "" : `; ${pluralize(cut, "call")} cut off`;
}

/** A pinned entry: `Prompt NAME`. */
function entryOf({ kind, tool }: Fields): string {
  const [what, name] = [textOf(kind), textOf(tool)];
  const kindText = sentence(what);
  return what === name ? `${kindText}: what the server says of itself` : `${kindText} ${name}`;
}

function phaseOf(value: unknown): string {
  return phaseLabel(textOf(value)).text;
}

function numberOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
