// The names of stored secrets, their users, and a form that stores one. The page never receives a value.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { SecretListReport } from "../../../api/setup/home-secrets.ts";
import { DeclaredForm, neededText, textIn } from "../add/declared-form.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { code, line, loading, mark, nothing, plainList, WorkButton } from "../parts/elements.ts";
import { lockedLine, useMayRunCommands } from "../parts/owner-lock.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

const SECRET = {
  Name: neededText("The configuration names it as secret:NAME. A secret of that name is replaced."),
};

export function SecretsView({ app }: ViewProps): ComponentChild {
  const { report, problem, reload } = useLoaded(() => app.requests.call("secrets"), "");
  const may = useMayRunCommands(app);
  const [missing, setMissing] = useState("");
  useEffect(() => {
    if (missing !== "") document.querySelector<HTMLInputElement>("input[name=Value]")?.focus();
  }, [missing]);
  if (report === null) return loading(problem);
  return h(
    "section",
    { "aria-label": "Secrets" },
    h("p", {}, "Passwords and tokens that the configuration names as ", code("secret:NAME"), "."),
    line("problem", report.config_error && `What uses them is not known: ${report.config_error}`),
    report.secrets.length === 0
      ? nothing("No secret is stored or needed.")
      : plainList(
          "Secrets",
          report.secrets.map((secret) =>
            h(Secret, { key: secret.name, app, secret, may, reload, onSet: setMissing }),
          ),
        ),
    h("h2", {}, "Store a secret"),
    may ? null : lockedLine("store or delete a secret"),
    may
      ? h(DeclaredForm, {
          ...{ key: missing, label: "Store a secret", fields: SECRET, action: "Save" },
          begin: missing === "" ? {} : { Name: missing },
          hidden: [{ name: "Value", about: "One line. It is never shown again.", isRequired: true }],
          run: (values, hidden) =>
            app.attempt("Store the secret", async () => {
              const name = textIn(values, "Name");
              await app.requests.call("setSecret", { name, value: hidden.get("Value") ?? "" });
              app.notify("good", `secret:${shown(name)} is stored, and used from now on`);
              await reload();
            }),
        })
      : null,
  );
}

interface SecretProps {
  readonly app: App;
  readonly secret: SecretListReport["secrets"][number];
  readonly may: boolean;
  readonly reload: () => Promise<unknown>;
  /** Called with the name of a missing secret whose value is to be typed. */
  readonly onSet: (name: string) => void;
}

function Secret({
  app,
  secret: { name, kept, used_by: uses },
  may,
  reload,
  onSet,
}: SecretProps): ComponentChild {
  const remove = async (): Promise<void> => {
    const isSure = await app.confirm({
      title: `Delete secret:${shown(name)}?`,
      body: h("p", {}, uses.length === 0 ? "Nothing uses it." : `It is used by ${shown(uses.join(", "))}.`),
      action: "Delete",
      destroys: true,
    });
    if (!isSure) return;
    await app.attempt("Delete the secret", async () => {
      await app.requests.call("removeSecret", { name });
      app.notify("good", `secret:${shown(name)} is deleted`);
      await reload();
    });
  };
  return h(
    "li",
    { class: "row" },
    code(name),
    kept === null ? mark("warning", "missing") : mark("good", "stored"),
    h(
      "span",
      { class: "dim grow" },
      uses.length === 0 ? "nothing uses it" : `used by ${shown(uses.join(", "))}`,
    ),
    may && kept === null
      ? h(WorkButton, { label: "Set", accessibleName: `Set: ${shown(name)}`, run: async () => onSet(name) })
      : null,
    may && kept !== null
      ? h(WorkButton, {
          label: "Delete",
          accessibleName: `Delete: ${shown(name)}`,
          kind: "danger",
          run: remove,
        })
      : null,
  );
}
