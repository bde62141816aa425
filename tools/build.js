// `npm run build`: the release bundles, dist/{hub,agent,plumb}.js, which run with Node 24 and no package beside them. What an
// agent or a command line rarely needs lies beside it in parts, such as dist/agent.join-HASH.js: in one file V8 reads it at
// each start, which costs an agent 17 MB and a command a third of a second. dist/render-worker.js and dist/verify-worker.js
// belong to the hub: it reads people's files, and checks many signatures, in processes and threads of their own. The second
// holds openpgp (LGPL-3.0) and nothing else does, so that it can be exchanged. `node tools/build.js FOLDER` builds there.
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ensurePackages, explain, root } from "./setup.js";

const entries = {
  hub: "hub/start.ts",
  agent: "agent/start.ts",
  plumb: "cli/main.ts",
  "render-worker": "hub/render/render-worker.ts",
  "verify-worker": "hub/trust/verify-worker.ts",
};
const inParts = new Set(["agent", "plumb"]);

await explain(async () => {
  await ensurePackages();
  const { build } = await import("rolldown");
  const dist = resolve(process.argv[2] ?? join(root, "dist"));
  mkdirSync(dist, { recursive: true });
  // Parts are named by their content: those of an older build would lie there for ever.
  const isOurs = (file) => file.endsWith(".js") && file.split(".")[0] in entries;
  for (const file of readdirSync(dist).filter(isOurs)) rmSync(join(dist, file));
  for (const [name, entry] of Object.entries(entries)) {
    const { output } = await build({
      input: { [name]: join(root, entry) },
      platform: "node",
      // Only its reader of kubeconfigs is used; its typed clients (6 MB) do nothing on import.
      treeshake: { moduleSideEffects: (id) => !id.includes("@kubernetes/client-node") },
      // One copy of each package, and classes keep the names that errors are told apart by.
      output: {
        dir: dist,
        entryFileNames: "[name].js",
        chunkFileNames: `${name}.[name]-[hash].js`,
        format: "esm",
        codeSplitting: inParts.has(name),
        keepNames: true,
        minify: true,
        banner: ({ isEntry }) => (isEntry && name === "plumb" ? "#!/usr/bin/env node" : ""),
      },
      logLevel: "warn",
    });
    for (const { fileName } of output) writeInAscii(join(dist, fileName));
    for (const { fileName } of output.filter(({ isEntry }) => isEntry))
      process.stdout.write(`${join(dist, fileName)} ${(statSync(join(dist, fileName)).size / 1e6).toFixed(2)} MB\n`);
  }
});

/** One character beyond ASCII makes V8 keep the whole source at two bytes a character for as long as it runs. */
function writeInAscii(file) {
  const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(/[\u0080-\uffff]/g, escaped));
}
