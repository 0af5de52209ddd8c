// Adds an MCP server by its command or its address. What will run, and where credentials go, is shown before it is written.
import { type ComponentChild, h } from "preact";
import {
  backendEdits,
  connectionOf,
  openSecretsIn,
  type TypedBackend,
  typedSecrets,
} from "../../../config/edit/new-backend.ts";
import { freeSecretName } from "../../../config/secret-names.ts";
import { parseBackendName } from "../../../config/values/backend-names.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { shellWord } from "../../../runtime/text/plain-text.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { CommandsNote, useMayRunCommands } from "../parts/commands-note.ts";
import { code } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";
import { DeclaredForm, textIn } from "./declared-form.ts";
import { saveAdded, type TypedSecret, takenSecrets } from "./save-added.ts";

const NAME = { type: "string", minLength: 1, description: "What it is called here, such as files." };
const SERVER = {
  type: "object",
  required: ["Name", "Command or address"],
  properties: {
    Name: NAME,
    "Command or address": {
      type: "string",
      minLength: 1,
      description:
        "A command line, such as npx -y @modelcontextprotocol/server-filesystem /home/ann, or an address that begins with https://. No shell reads it.",
    },
    "Variables or headers": {
      type: "array",
      description: "Variables of the program, or headers of each request to the address.",
      items: {
        type: "object",
        required: ["Name", "Value"],
        properties: {
          Name: { type: "string", minLength: 1 },
          Value: { type: "string", description: "Text, ${VARIABLE} or secret:NAME." },
        },
      },
    },
    "Secret for": {
      type: "string",
      description: "The variable, or the header, that gets the secret below: TOKEN, or Authorization.",
    },
  },
};
const SECRET = { name: "Secret", about: "Kept outside of the configuration.", isRequired: false };

export function AddServer({ app }: ViewProps): ComponentChild {
  const may = useMayRunCommands(app);
  return h(
    "section",
    { "aria-label": "Add a server" },
    h(CommandsNote, { app, refused: "No server is added here" }),
    may
      ? h(DeclaredForm, {
          ...{
            label: "Add by command or address",
            schema: SERVER,
            hidden: [SECRET],
            action: "Show what runs …",
          },
          run: (values, hidden) => addTyped(app, values, hidden.get(SECRET.name) ?? null),
        })
      : null,
  );
}

async function addTyped(
  app: App,
  values: Readonly<Record<string, unknown>>,
  secret: string | null,
): Promise<boolean> {
  return app.attempt("Add the server", async () => {
    const name = textIn(values, "Name");
    const connection = connectionOf(textIn(values, "Command or address"));
    const texts = new Map(pairsIn(values));
    const key = textIn(values, "Secret for");
    if ((key === "") !== (secret === null))
      throw new MountaineerError("usage", "a secret needs both: its variable or header, and its value");
    const secrets: TypedSecret[] = [];
    if (secret !== null) {
      const kept = freeSecretName(`${name}-${key}`, await takenSecrets(app));
      secrets.push({ name: kept, value: secret });
      texts.set(key, /^authorization$/i.test(key) ? `Bearer \${secret:${kept}}` : `secret:${kept}`);
    }
    await addServer(app, name, typedBackend(connection, texts), secrets);
  });
}

function pairsIn({ "Variables or headers": given }: Readonly<Record<string, unknown>>) {
  const pairs: readonly Readonly<Record<string, unknown>>[] = Array.isArray(given) ? given : [];
  return pairs.map((pair) => [textIn(pair, "Name"), textIn(pair, "Value")] as const);
}

/** `texts`: variables of a program, or headers of an address. */
export function typedBackend(
  connection: ReturnType<typeof connectionOf>,
  texts: ReadonlyMap<string, string>,
): TypedBackend {
  const none = { cwd: null, group: null, enabled: null, set: new Map() };
  if ("url" in connection)
    return { ...none, command: null, url: connection.url, env: new Map(), headers: texts };
  const { command, args } = connection;
  return { ...none, command: [command, ...args], url: null, env: texts, headers: new Map() };
}

/** Asks first, with all that it will do. Rejects with `MountaineerError`. */
export async function addServer(
  app: App,
  name: string,
  typed: TypedBackend,
  secrets: readonly TypedSecret[],
  about: ComponentChild = null,
): Promise<void> {
  const { sha256 } = await app.requests.ask("config");
  const reading = parseBackendName(name);
  if (!reading.ok) throw new MountaineerError("usage", `${name}: expected ${reading.expected}`);
  if (app.store.get().status?.backends?.some((backend) => backend.name === name) === true)
    throw new MountaineerError("usage", `there is a server called ${name}`);
  const [literal] = typedSecrets(name, typed);
  if (literal !== undefined)
    throw new MountaineerError("usage", `the value of ${literal.key} seems to be a secret`, {
      hint: "type it into the field for the secret",
    });
  const yes = await app.ask({
    title: `Add ${shown(name)}?`,
    body: h("div", {}, about, whatRuns(name, typed, secrets)),
    action: "Add it",
  });
  if (!yes) return;
  await saveAdded(app, backendEdits(name, typed), secrets, sha256);
  location.hash = "#/servers";
}

function whatRuns(name: string, typed: TypedBackend, secrets: readonly TypedSecret[]): ComponentChild {
  const { command, url, env, headers } = typed;
  const [openly] = openSecretsIn(name, typed);
  const texts = [...env, ...headers];
  const isSent = url !== null;
  return [
    h(
      "p",
      {},
      isSent ? "Calls are sent to this address:" : "This runs on the daemon's machine, as its user:",
    ),
    h("p", { class: "path" }, code(isSent ? url : (command ?? []).map(shellWord).join(" "))),
    texts.length === 0
      ? null
      : [
          h("p", {}, isSent ? "With each request these headers are sent there:" : "It gets these variables:"),
          h(
            "ul",
            {},
            texts.map(([key, text]) => h("li", { key }, code(`${key} = ${text}`))),
          ),
        ],
    secrets.map((secret) =>
      h("p", { key: secret.name }, "What you typed is kept as ", code(`secret:${secret.name}`), "."),
    ),
    openly === undefined
      ? null
      : h(
          "p",
          { class: "problem" },
          `${shown(openly.key)} seems to hold a secret. It would stand in the configuration and its history, and `,
          isSent ? "in logs elsewhere." : "every program of this machine could read it.",
        ),
  ];
}
