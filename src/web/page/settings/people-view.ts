// The people who may connect, what each may do with which server, and the programs that act for them.
import { type ComponentChild, h } from "preact";
import type { AccessRequestReport, Person, ProgramGrant } from "../../../api/contract/people.ts";
import { grantText, rulesInUseText, signsIn } from "../../../api/labels/people-labels.ts";
import type { InputOf } from "../../../api/operations/operations.ts";
import { durationText } from "../../../runtime/text/plain-text.ts";
import { DeclaredForm, neededText, optionalText, textIn } from "../add/declared-form.ts";
import { useNow } from "../daemon/store.ts";
import type { App, Question, ViewProps } from "../parts/app.ts";
import { actionRow, loading, nothing, plainList, row, section, WorkButton } from "../parts/elements.ts";
import { Lockable, useIsOwner } from "../parts/owner-lock.ts";
import { Table } from "../parts/table.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";
import { ownAccounts } from "./own-accounts.ts";
import { RightsTable } from "./rights-table.ts";
import { handOver } from "./token-question.ts";

const USER = {
  Name: neededText("As logs and the audit name the person.", "ben"),
  Roles: optionalText("Separated by commas.", "dev, reader"),
};
const REQUEST = {
  Code: neededText("The program's page shows it. Type it only if you opened that page yourself.", "7K4-9QX"),
  "Acts as": neededText("The user whose rights it gets.", "ben"),
  "Only these servers": optionalText(
    "Separated by commas; empty: every server that the user may use.",
    "files, tickets",
  ),
};

/** The questions before a change. */
const FIRST = {
  action: "Add the first user",
  about: "From now on every program needs a token. Those that are connected without one are refused.",
};
const RENEW = {
  action: "New token",
  about:
    "The present token works for one more hour, and so do programs that it let in; one before it ends now. Those that you let in stay.",
};
const REMOVE = {
  ...{ action: "Remove", destroys: true },
  about: "Sessions and programs lose access at once. Own secrets and sign-ins at servers are forgotten.",
};

export function PeopleView({ app }: ViewProps): ComponentChild {
  const { report, problem, reload } = useLoaded(() => app.requests.call("people", {}), "");
  const isOwner = useIsOwner(app);
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
            card: () => personCard(app, person, isOwner, reload),
          })),
        }),
    h(
      Lockable,
      { app, what: "add people and let programs in", needsOwner: true },
      section(
        "Add a user",
        h(DeclaredForm, {
          ...{ app, label: "Add a user", fields: USER, action: "Add" },
          async run(values, _, clear) {
            const roles = namesIn(values, "Roles");
            const question = report.people.length === 0 ? FIRST : null;
            const change = { user: textIn(values, "Name"), to: "added", roles } as const;
            const isDone = await changeUser(app, change, question, reload);
            if (isDone) clear();
            return isDone;
          },
        }),
      ),
      section(
        "Let a program in",
        h(DeclaredForm, {
          ...{ app, label: "Let a program in", fields: REQUEST, action: "Show what it asks for" },
          run: (values, _, clear) => app.attempt("Let a program in", () => letIn(app, values, clear, reload)),
        }),
      ),
    ),
  ];
}

function personCard(app: App, person: Person, isOwner: boolean, reload: () => unknown): ComponentChild {
  const { name, programs, signs_in: how } = person;
  const button = (label: string, run: () => Promise<unknown>): ComponentChild =>
    h(WorkButton, { label: `${label} …`, accessibleName: `${label}: ${shown(name)}`, run });
  return [
    h(RightsTable, { app, person }),
    ownAccounts(app, person, isOwner, reload),
    programs.map((grant) => row(shown(grantText(grant)), " ", endButton(app, grant, reload))),
    isOwner &&
      (how === "token" || how === "no_token") &&
      actionRow(
        button("New token", () => changeUser(app, { user: name, to: "renewed" }, RENEW, reload)),
        button("Remove", () => changeUser(app, { user: name, to: "removed" }, REMOVE, reload)),
      ),
  ];
}

/** Resolves with true once it is done, and the token was shown. */
async function changeUser(
  app: App,
  change: InputOf<"changeUser">,
  question: (Pick<Question, "action" | "destroys"> & { readonly about: string }) | null,
  reload: () => unknown,
): Promise<boolean> {
  const name = shown(change.user);
  if (question !== null) {
    const { about, ...others } = question;
    const title = `${question.action}: ${name}?`;
    if (!(await app.confirm({ ...others, title, body: h("p", {}, about) }))) return false;
  }
  return app.attempt(`The user ${name}`, async () => {
    const made = await app.requests.call("changeUser", change);
    const done = `${name} is ${change.to}`;
    if (made.token === null) app.notify("good", [done, ...made.warnings].join("; "));
    const closed = made.token === null ? null : handOver(app, done, { ...made, token: made.token });
    await reload();
    await closed;
  });
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
  clear: () => void,
  reload: () => unknown,
): Promise<void> {
  const code = textIn(values, "Code");
  const user = textIn(values, "Acts as");
  const servers = namesIn(values, "Only these servers");
  const limits = { backends: servers.length === 0 ? null : servers, read_only: false };
  const request = await app.requests.call("accessRequest", { code });
  const isAllowed = await app.confirm({
    title: `Let ${shown(request.name)} act as ${shown(user)}?`,
    body: facts(request, limits.backends),
    action: "Let it in",
  });
  if (!isAllowed) return;
  await app.requests.call("accessRequest", { code, answer: { user, ...limits } });
  clear();
  app.notify("good", "It is let in: its page continues");
  await reload();
}

function namesIn(values: Readonly<Record<string, unknown>>, field: string): string[] {
  return textIn(values, field)
    .split(",")
    .flatMap((name) => name.trim() || []);
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
