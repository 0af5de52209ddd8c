// Adds an MCP server by command or address, after showing what will run and where credentials go.
import { type ComponentChild, h } from "preact";
import { hasNoPath } from "../../../api/setup/mcp-address.ts";
import { connectionOf, type TypedConnection } from "../../../config/edit/new-backend.ts";
import { freeSecretName } from "../../../config/secret-names.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { Lockable } from "../parts/owner-lock.ts";
import { AddFromRegistry } from "./add-from-registry.ts";
import { DeclaredForm, neededText, optionalText, textIn } from "./declared-form.ts";
import { type SecretToKeep, takenSecrets } from "./save-added.ts";
import { addServer, typedBackend } from "./server-plan.ts";

const SERVER = {
  Name: neededText("What it is called here, such as files."),
  "Command or address": neededText(
    "A command line, such as npx -y @modelcontextprotocol/server-filesystem /home/ann, or an address that begins with https://. No shell reads it.",
  ),
  "Variables or headers": {
    type: "array",
    description: "Variables of the program, or headers of each request to the address.",
    items: {
      type: "object",
      required: ["Name", "Value"],
      properties: { Name: neededText(), Value: optionalText("Text, ${VARIABLE} or secret:NAME.") },
    },
  },
  "Secret for": optionalText(
    "The variable, or the header, that gets the secret below: TOKEN, or Authorization.",
  ),
};
const SECRET = { name: "Secret", about: "Kept outside of the configuration.", isRequired: false };

export function AddServer({ app }: ViewProps): ComponentChild {
  return h(
    "section",
    { "aria-label": "Add a server" },
    h(
      Lockable,
      { app, what: "add a server" },
      h(DeclaredForm, {
        ...{ label: "Add by command or address", fields: SERVER, hidden: [SECRET] },
        action: "Show what runs …",
        run: (values, hidden) => addTyped(app, values, hidden.get(SECRET.name) ?? null),
      }),
      h("h2", {}, "From the registry"),
      h(AddFromRegistry, { app }),
    ),
  );
}

async function addTyped(
  app: App,
  values: Readonly<Record<string, unknown>>,
  secret: string | null,
): Promise<boolean> {
  return app.attempt("Add the server", async () => {
    const name = textIn(values, "Name");
    const typed = connectionOf(textIn(values, "Command or address"));
    const connection = await withPath(app, typed);
    const about =
      connection === typed ? null : h("p", {}, "That address has no path, and a server answers here.");
    const texts = new Map(pairsIn(values));
    const key = textIn(values, "Secret for");
    if ((key === "") !== (secret === null))
      throw new MountaineerError("usage", "a secret needs both: its variable or header, and its value");
    const secrets: SecretToKeep[] = [];
    if (secret !== null) {
      const secretName = freeSecretName(`${name}-${key}`, await takenSecrets(app));
      secrets.push({ name: secretName, value: secret });
      texts.set(
        key,
        /^authorization$/i.test(key) ? `Bearer \${secret:${secretName}}` : `secret:${secretName}`,
      );
    }
    await addServer(app, name, typedBackend(connection, texts), secrets, about);
  });
}

/** If the address has no path, adds the path at which a server answers. */
async function withPath(app: App, typed: TypedConnection): Promise<TypedConnection> {
  if (!("url" in typed) || !hasNoPath(typed.url)) return typed;
  const { url } = await app.requests.call("mcpAddress", { url: typed.url });
  return url === null || url === typed.url ? typed : { url };
}

function pairsIn({ "Variables or headers": given }: Readonly<Record<string, unknown>>) {
  const pairs: readonly Readonly<Record<string, unknown>>[] = Array.isArray(given) ? given : [];
  return pairs.map((pair) => [textIn(pair, "Name"), textIn(pair, "Value")] as const);
}
