// Owns the way from the commands about secrets to what keeps them; loads it when one is run.
import type { SecretKeeper } from "../../api/secret-keeper.ts";
import type { CommandContext } from "../input/command.ts";

/** Resolves once it is loaded, with what gives the names of those that are kept and rejects with `secret_unavailable`. */
export async function loadSecretNames(): Promise<(home: string) => Promise<readonly string[]>> {
  const { keptSecretNames } = await import("../../daemon/compose/kept-secret-names.ts");
  return keptSecretNames;
}

export async function openSecrets({ home, configPath }: CommandContext): Promise<SecretKeeper> {
  const { openSecretKeeper } = await import("../../daemon/compose/secret-keeper.ts");
  return openSecretKeeper({ home, configPath });
}
