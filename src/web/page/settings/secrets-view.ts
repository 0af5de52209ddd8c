// The names of stored secrets, their users, and a form that stores one. The page never receives a value.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import { DeclaredForm, neededText, textIn } from "../add/declared-form.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { code, line, loading, mark, nothing, WorkButton } from "../parts/elements.ts";
import { Lockable, useMayRunCommands } from "../parts/owner-lock.ts";
import { Table } from "../parts/table.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

const SECRET = {
  Name: neededText("The configuration names it as secret:NAME. A secret of that name is replaced."),
};

export function SecretsView({ app }: ViewProps): ComponentChild {
  const { report, problem, reload } = useLoaded(() => app.requests.call("secrets"), "");
  const may = useMayRunCommands(app);
  const [chosen, choose] = useState("");
  useEffect(() => {
    if (chosen !== "") document.querySelector<HTMLInputElement>("input[name=Value]")?.focus();
  }, [chosen]);
  if (report === null) return loading(problem);
  return h(
    "section",
    {},
    h("p", {}, "Passwords and tokens that the configuration names as ", code("secret:NAME"), "."),
    line("problem", report.config_error && `What uses them is not known: ${report.config_error}`),
    report.secrets.length === 0
      ? nothing("No secret is stored or needed.")
      : h(Table, {
          ...{ label: "Secrets", titles: ["Secret", "State", "Used by", "Change"] },
          rows: report.secrets.map(({ name, kept, used_by: uses }) => ({
            key: name,
            cells: [
              code(name),
              kept === null ? mark("warning", "missing") : mark("good", "stored"),
              uses.length === 0 ? h("span", { class: "dim" }, "nothing uses it") : shown(uses.join(", ")),
              may && [
                secretButton(kept === null ? "Set" : "Replace", name, async () => choose(name)),
                " ",
                kept && secretButton("Delete", name, () => remove(app, name, uses, reload)),
              ],
            ],
          })),
        }),
    h("h2", {}, "Store a secret"),
    h(
      Lockable,
      { app, what: "store or delete a secret" },
      h(DeclaredForm, {
        ...{ app, key: chosen, label: "Store a secret", fields: SECRET, action: "Save" },
        begin: chosen === "" ? {} : { Name: chosen },
        hidden: [{ name: "Value", about: "One line. It is never shown again.", isRequired: true }],
        run: (values, hidden, clear) =>
          app.attempt("Store the secret", async () => {
            const name = textIn(values, "Name");
            const value = hidden.get("Value") ?? "";
            const { replaced } = await app.requests.call("setSecret", { name, value });
            clear();
            const how = replaced ? "replaces its older value" : "is stored";
            app.notify("good", `secret:${shown(name)} ${how}, and is used from now on`);
            await reload();
          }),
      }),
    ),
  );
}

async function remove(app: App, name: string, uses: readonly string[], done: () => unknown): Promise<void> {
  const isSure = await app.confirm({
    title: `Delete secret:${shown(name)}?`,
    body: h("p", {}, uses.length === 0 ? "Nothing uses it." : `It is used by ${shown(uses.join(", "))}.`),
    ...{ action: "Delete", destroys: true },
  });
  if (!isSure) return;
  await app.attempt("Delete the secret", async () => {
    await app.requests.call("removeSecret", { name });
    app.notify("good", `secret:${shown(name)} is deleted`);
    await done();
  });
}

function secretButton(label: string, name: string, run: () => Promise<void>): ComponentChild {
  return h(WorkButton, { label, accessibleName: `${label}: ${shown(name)}`, run });
}
