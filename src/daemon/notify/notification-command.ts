// The program that shows a notification on this system's desktop, picked by platform.
import { macosNotifier } from "./notification-command-darwin.ts";
import { linuxNotifier } from "./notification-command-linux.ts";
import type { Notifier } from "./notifier.ts";

export const desktopNotifier: Notifier = process.platform === "darwin" ? macosNotifier : linuxNotifier;
