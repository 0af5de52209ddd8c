// Loaded first: whatever asks for the platform is told that this is a Mac, but for koffi, which has to find its own library.
const { platform } = process;
Object.defineProperty(process, "platform", {
  get: () => (/\/node_modules\/koffi\//.test(new Error().stack ?? "") ? platform : "darwin"),
});
