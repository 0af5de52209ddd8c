// The interface of the demo's server: a folder, two cables to it, and the config of a share on it.
import type { RouteName } from "../../api/contract.ts";

export interface Cable {
  readonly route: RouteName;
  /** What the configuration calls the other end. */
  readonly address: string;
  readonly plugged: boolean;
  pull(): Promise<void>;
  plug(): Promise<void>;
}

export interface Nas extends AsyncDisposable {
  readonly driver: DemoDriver;
  /** The share's folder on the server's own disk: never behind a mount. */
  readonly serverFolder: string;
  readonly cables: Readonly<Record<RouteName, Cable>>;
  /** The share's keys in config.toml, but for its name. */
  readonly shareConfig: readonly string[];
  /** What the configuration's references mean. */
  readonly environment: Readonly<Record<string, string>>;
}

export type DemoDriver = "smb" | "local";
