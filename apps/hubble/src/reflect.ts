import { createFileRegistry, type DescMethod, type DescService, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { clean, UsageError } from "@cilium-ts/command-line";
import type { ReflectionClient } from "@cilium-ts/observer";
import type { CallOptions } from "@connectrpc/connect";
import type { Command } from "commander";
import { type ConnectionOptions, callOptionsOf, openClients, serverError } from "./connection.ts";
import type { World } from "./world.ts";

/** `reflect`: what a server can be asked, in its own words. */
export function addReflect(program: Command, world: World, signal: AbortSignal): Command {
  return program
    .command("reflect")
    .description("Show the services of a server and what they can be asked")
    .action(async (options: ConnectionOptions) => {
      const { reflection } = await openClients(options);
      const callOptions = callOptionsOf(options, signal);
      try {
        const list = await ask(reflection, "listServices", "", callOptions);
        const names = list?.case === "listServicesResponse" ? list.value.service.map(({ name }) => name) : [];
        for (const name of names.toSorted())
          for (const line of serviceLines(await describe(reflection, name, callOptions))) world.stdout.write(`${clean(line)}\n`);
      } catch (cause) {
        throw serverError(options.server, cause);
      }
    });
}

/** One question, and its answer. */
async function ask(reflection: ReflectionClient, kind: "listServices" | "fileContainingSymbol", value: string, options: CallOptions) {
  const questions = async function* () {
    yield { messageRequest: { case: kind, value } as const };
  };
  for await (const { messageResponse } of reflection.serverReflectionInfo(questions(), options)) {
    if (messageResponse.case === "errorResponse") throw new UsageError(`${value || kind}: ${messageResponse.value.errorMessage}`);
    return messageResponse;
  }
  return undefined;
}

/** A service with the messages that it names. */
async function describe(reflection: ReflectionClient, name: string, options: CallOptions): Promise<DescService> {
  const answer = await ask(reflection, "fileContainingSymbol", name, options);
  const bytes = answer?.case === "fileDescriptorResponse" ? answer.value.fileDescriptorProto : [];
  const files = bytes.map((file) => fromBinary(FileDescriptorProtoSchema, file));
  const [main] = files;
  if (main === undefined) throw new UsageError(`the server does not say what ${name} is`);
  const service = createFileRegistry(main, (path) => files.find((file) => file.name === path)).getService(name);
  if (service === undefined) throw new UsageError(`the server does not say what ${name} is`);
  return service;
}

function serviceLines({ typeName, methods }: DescService): string[] {
  return [`service ${typeName} {`, ...methods.map(methodLine), "}"];
}

function methodLine({ name, input, output, methodKind }: DescMethod): string {
  const asks = methodKind === "client_streaming" || methodKind === "bidi_streaming" ? "stream " : "";
  const tells = methodKind === "server_streaming" || methodKind === "bidi_streaming" ? "stream " : "";
  return `  rpc ${name}(${asks}${input.typeName}) returns (${tells}${output.typeName});`;
}
