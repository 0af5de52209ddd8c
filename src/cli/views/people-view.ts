// People, their programs and their rights, as printed text. Pure.
import type { AccessRequestReport, PeopleReport, Person, ProgramGrant } from "../../api/contract/people.ts";
import { grantText, rulesInUseText, serverAccessText, signsIn } from "../../api/labels/people-labels.ts";
import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import { durationText, printable } from "../../runtime/text/plain-text.ts";
import { renderTable } from "./table-view.ts";

export function renderPeople(people: readonly Person[], style: TerminalStyle, nowMs: number): string {
  const titles = ["User", "Roles", "Signs in", "Last heard", "Programs"];
  const rows = people.map((person) => [
    printable(person.name),
    printable(person.roles.join(", ")),
    signsIn(person),
    person.last_heard === null ? "-" : `${durationText(nowMs - Date.parse(person.last_heard))} ago`,
    String(person.programs.length),
  ]);
  return renderTable(titles, rows, style);
}

export function rulesLines(report: PeopleReport): readonly string[] {
  const text = rulesInUseText(report);
  return text === null ? [] : [printable(text)];
}

/** `tool`: only entries of this name. */
export function renderAccess(person: Person, style: TerminalStyle, tool: string | null): string {
  const paint = paintFor(style);
  const { name, roles, servers, programs } = person;
  const who = [signsIn(person), ...(roles.length === 0 ? [] : [`roles ${roles.join(", ")}`])].join("; ");
  const ofServers = servers.flatMap(({ backend, entries }) => {
    const chosen = tool === null ? entries : entries.filter((entry) => entry.name === tool);
    if (tool !== null && chosen.length === 0) return [];
    return [`  ${backend}`, ...serverAccessText(chosen).map((line) => `    ${printable(line)}`)];
  });
  const ofPrograms = programs.map((grant) => `  ${printable(grantText(grant))}`);
  const lines = [
    `${paint.bold(printable(name))}  ${paint.dim(printable(who))}`,
    ...ofServers,
    ...(tool !== null && ofServers.length === 0 ? [`  no server has ${printable(tool)}`] : []),
    ...(ofPrograms.length === 0
      ? []
      : ["  programs that act for it:", ...ofPrograms.map((line) => `  ${line}`)]),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

export function renderGrants(people: readonly Person[], style: TerminalStyle, nowMs: number): string {
  const ago = (time: string): string => `${durationText(nowMs - Date.parse(time))} ago`;
  const row = (user: string, { id, name, answers_to, last_used, ...limits }: ProgramGrant) => [
    id,
    printable(name),
    printable(user),
    printable(grantText({ ...limits, id, name: "", answers_to, last_used })),
    ago(last_used),
  ];
  const rows = people.flatMap(({ name, programs }) => programs.map((grant) => row(name, grant)));
  return renderTable(["Id", "Program", "Acts as", "May use", "Last used"], rows, style);
}

export function requestLines(request: AccessRequestReport, nowMs: number): readonly string[] {
  const { name, published_by: publishedBy, answers_to, resource, opened_from: from, opened } = request;
  return [
    `  calls itself ${name}`,
    `  published by ${publishedBy ?? "no one: it registered itself"}`,
    `  answer to    ${answers_to}`,
    `  wants        ${resource}`,
    `  page         opened from ${from ?? "an unknown address"}, ${durationText(nowMs - Date.parse(opened))} ago`,
  ].map(printable);
}
