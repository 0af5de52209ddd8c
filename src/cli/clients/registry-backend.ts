// `backends add --registry`: asks for the inputs of a server in the registry, and keeps their secrets after a person agreed.
import { storedNames } from "../../api/setup/home-secrets.ts";
import type { BackendInput } from "../../config/edit/new-backend.ts";
import { HIDDEN } from "../../config/shown-values.ts";
import { isSecretHeader, isSecretVariable } from "../../config/values/backend-names.ts";
import { queryRegistry, registryAddress } from "../../registry/registry-client.ts";
import { type MadeText, planBackend } from "../../registry/registry-plan.ts";
import { type RegistryInput, type RegistryServer, readServerJson } from "../../registry/server-json.ts";
import { printable, shellWord } from "../../runtime/text/plain-text.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";
import { openSecrets } from "../in-process/open.ts";
import type { CommandContext, Terminal } from "../input/command.ts";
import { confirms } from "../input/confirm.ts";

interface RegistryOrder {
  /** The backend's name here. */
  readonly name: string;
  /** The server's name in the registry. */
  readonly server: string;
  /** Values of inputs, by name. */
  readonly given: ReadonlyMap<string, string>;
  readonly yes: boolean;
}

const LONGEST_LINE = 200;

/**
 * Takes the backend's program or address from the newest version of the server in the registry. Resolves with
 * null if the person did not agree. Rejects with `registry_failed`, and with `usage` if an input is missing
 * and there is no terminal.
 */
export async function registryBackend(
  context: CommandContext,
  order: RegistryOrder,
  typed: BackendInput,
): Promise<BackendInput | null> {
  const server = readServerJson(await queryRegistry(registryAddress(), order.server, context.signal));
  const { prompt, notify } = context;
  const isProgram = server.launch.kind === "program";
  const plan = await planBackend(
    server,
    { ...order, typed: new Set((isProgram ? typed.env : typed.headers).keys()) },
    {
      notify,
      prompt: prompt === null ? null : (input) => prompt(questionOf(input)),
      storedSecrets: async () => storedNames(await (await openSecrets(context)).list()),
    },
  );
  const { command, url, texts, secrets } = plan;
  const made: BackendInput = {
    ...typed,
    ...(isProgram
      ? { command, env: new Map([...written(texts), ...typed.env]) }
      : { url, headers: new Map([...written(texts), ...typed.headers]) }),
  };
  if (!(await showAndConfirm(context, server, made, texts, order.yes))) return null;
  const store = await openSecrets(context);
  for (const [input, name] of secrets)
    await store.set(name, order.given.get(input) ?? "", null, context.signal);
  return made;
}

function questionOf({ name, description, choices }: RegistryInput): string {
  const among = choices.length === 0 ? "" : ` (${choices.join(", ")})`;
  return `${printable(name)}: ${safeLine(`${description ?? name}${among}`, LONGEST_LINE)}: `;
}

function written(texts: ReadonlyMap<string, MadeText>): readonly (readonly [string, string])[] {
  return [...texts].map(([key, { text }]) => [key, text] as const);
}

async function showAndConfirm(
  context: Terminal,
  { name, version, description, isDeprecated }: RegistryServer,
  { command, url }: BackendInput,
  texts: ReadonlyMap<string, MadeText>,
  yes: boolean,
): Promise<boolean> {
  context.notify(`${printable(name)} ${printable(version)}: ${safeLine(description, LONGEST_LINE)}`);
  if (isDeprecated) context.notify("the registry calls it deprecated");
  context.notify(
    command === null
      ? `reached at ${printable(url ?? "")}`
      : `started as: ${command.map(shellWord).map(printable).join(" ")}`,
  );
  // Variables are shown because a variable can change a program as much as an argument can.
  for (const [key, { text, isOwn }] of texts) {
    const isHidden = isOwn && (isSecretHeader(key) || isSecretVariable(key));
    context.notify(`with ${printable(key)} = ${isHidden ? HIDDEN : printable(text)}`);
  }
  return yes || confirms(context, "Add it?");
}
