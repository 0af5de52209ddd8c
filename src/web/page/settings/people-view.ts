// The people who may connect, what each may do with which server, and the programs that act for them.
import { type ComponentChild, h } from "preact";
import type { AccessRequestReport, Person, ProgramGrant } from "../../../api/contract/people.ts";
import { grantText, rulesInUseText, serverAccessText, signsIn } from "../../../api/labels/people-labels.ts";
import { durationText, shellCommand } from "../../../runtime/text/plain-text.ts";
import { DeclaredForm, neededText, optionalText, textIn } from "../add/declared-form.ts";
import { useNow } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { Copyable, loading, nothing, plainList, row, section, WorkButton } from "../parts/elements.ts";
import { Lockable } from "../parts/owner-lock.ts";
import { Table } from "../parts/table.ts";
import { shown } from "../parts/text.ts";
import { useHasGateway, useLoaded } from "../parts/use-loaded.ts";

const REQUEST = {
  Code: neededText(
    "The program's page shows it, for example 7K4-9QX. Type it only if you opened that page yourself.",
  ),
  "Acts as": neededText("The user whose rights it gets."),
  "Only these servers": optionalText("Separated by commas; empty: every server that the user may use."),
};

export function PeopleView({ app }: ViewProps): ComponentChild {
  const hasGateway = useHasGateway(app);
  const load = async () => (hasGateway ? app.requests.call("people", {}) : { people: [] });
  const { report, problem, reload } = useLoaded(load, hasGateway);
  const now = useNow();
  if (report === null) return loading(problem);
  const ago = (time: string | null): string =>
    time === null ? "not since the start" : `${durationText(now - Date.parse(time))} ago`;
  const inUse = rulesInUseText(report);
  return [
    inUse === null ? null : h("p", { class: "hint", role: "status" }, shown(inUse)),
    report.people.length === 0
      ? nothing("Everyone on this machine is let in. A first user ends that.")
      : h(Table, {
          ...{ label: "People", titles: ["User", "Roles", "Signs in", "Last heard", "Programs"] },
          rows: report.people.map((person) => ({
            key: person.name,
            cells: [
              shown(person.name),
              shown(person.roles.join(", ")),
              signsIn(person),
              ago(person.last_heard),
              String(person.programs.length),
            ],
            card: () => personCard(app, person, reload),
          })),
        }),
    section(
      "Add a user",
      h(
        "p",
        {},
        "A token is shown only in a terminal: ",
        h(Copyable, { text: "mountaineer users add NAME" }),
      ),
    ),
    section(
      "Let a program in",
      h(
        Lockable,
        { app, what: "let a program in" },
        h(DeclaredForm, {
          ...{ label: "Let a program in", fields: REQUEST, action: "Show what it asks for" },
          run: (values) => app.attempt("Let a program in", () => letIn(app, values, reload)),
        }),
      ),
    ),
  ];
}

function personCard(app: App, { name, servers, programs }: Person, reload: () => unknown): ComponentChild {
  return [
    ...servers.map(({ backend, entries }) =>
      section(
        shown(backend),
        plainList(
          `What ${shown(name)} may do with ${shown(backend)}`,
          serverAccessText(entries).map((text) => h("li", { key: text }, shown(text))),
        ),
      ),
    ),
    programs.map((grant) => row(shown(grantText(grant)), " ", endButton(app, grant, reload))),
    row("A new token: ", h(Copyable, { text: shellCommand`mountaineer users renew ${name}` })),
  ];
}

function endButton(app: App, { id, name }: ProgramGrant, reload: () => unknown): ComponentChild {
  const change = (to: { readonly backends: null; readonly read_only: true } | null) => () =>
    app.attempt("Change a program's access", async () => {
      await app.requests.call("changeGrants", { ids: [id], to });
      await reload();
    });
  return [
    h(WorkButton, {
      label: "Only read",
      accessibleName: `Only read: ${shown(name)}`,
      run: change({ backends: null, read_only: true }),
    }),
    h(WorkButton, { label: "End access", accessibleName: `End access: ${shown(name)}`, run: change(null) }),
  ];
}

async function letIn(
  app: App,
  values: Readonly<Record<string, unknown>>,
  reload: () => unknown,
): Promise<void> {
  const code = textIn(values, "Code");
  const user = textIn(values, "Acts as");
  const given = textIn(values, "Only these servers");
  const servers = given.split(",").map((name) => name.trim());
  const limits = { backends: given.trim() === "" ? null : servers.filter(Boolean), read_only: false };
  const request = await app.requests.call("accessRequest", { code });
  const isAllowed = await app.confirm({
    title: `Let ${shown(request.name)} act as ${shown(user)}?`,
    body: facts(request, limits.backends),
    action: "Let it in",
  });
  if (!isAllowed) return;
  await app.requests.call("accessRequest", { code, answer: { user, ...limits } });
  app.notify("good", "It is let in: its page continues");
  await reload();
}

function facts(request: AccessRequestReport, backends: readonly string[] | null): ComponentChild {
  const { published_by: publishedBy, answers_to: answersTo, opened_from: from, resource } = request;
  const lines = [
    `Its description is published by ${publishedBy ?? "no one: it registered itself"}.`,
    `Its answer goes to ${answersTo}.`,
    `It wants ${resource}, and gets ${backends === null ? "all that the user may" : backends.join(", ")}.`,
    `Its page was opened from ${from ?? "an unknown address"}.`,
  ];
  return plainList(
    "The request",
    lines.map((text) => h("li", { key: text }, shown(text))),
  );
}
