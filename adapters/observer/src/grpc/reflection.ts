import { type DescFile, type DescMessage, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { ServerReflection, type ServerReflectionRequest } from "../gen/grpc/reflection/v1/reflection_pb.js";
import {
  type ServerReflectionRequest as AlphaRequest,
  ServerReflection as ServerReflectionAlpha,
} from "../gen/grpc/reflection/v1alpha/reflection_pb.js";

/** Lets clients without our .proto files call the services. Both versions of the protocol have the same messages. */
export function registerReflection(router: ConnectRouter, services: readonly DescService[]): void {
  const all = [...services, ServerReflection, ServerReflectionAlpha];
  const files = new Map<string, DescFile>();
  for (const { file } of all) addFile(files, file);
  const bySymbol = symbolsOf(files.values());
  const answer = (question: ServerReflectionRequest["messageRequest"] | AlphaRequest["messageRequest"]) => {
    switch (question.case) {
      case "listServices":
        return { case: "listServicesResponse" as const, value: { service: all.map(({ typeName: name }) => ({ name })) } };
      case "fileByFilename":
        return fileAnswer(files.get(question.value.replace(/\.proto$/, "")), question.value);
      case "fileContainingSymbol":
        return fileAnswer(bySymbol.get(question.value), question.value);
      case "allExtensionNumbersOfType":
        return { case: "allExtensionNumbersResponse" as const, value: { baseTypeName: question.value, extensionNumber: [] } };
      default:
        return failure(Code.Unimplemented, "no such question is known; there are no extensions");
    }
  };
  router.service(ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request.messageRequest) };
      }
    },
  });
  router.service(ServerReflectionAlpha, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request.messageRequest) };
      }
    },
  });
}

/** With everything it imports. */
function addFile(files: Map<string, DescFile>, file: DescFile): void {
  if (files.has(file.name)) return;
  files.set(file.name, file);
  for (const dependency of file.dependencies) addFile(files, dependency);
}

function symbolsOf(files: Iterable<DescFile>): Map<string, DescFile> {
  const symbols = new Map<string, DescFile>();
  const addMessage = (message: DescMessage, file: DescFile): void => {
    symbols.set(message.typeName, file);
    for (const nested of message.nestedMessages) addMessage(nested, file);
    for (const nested of message.nestedEnums) symbols.set(nested.typeName, file);
  };
  for (const file of files) {
    for (const message of file.messages) addMessage(message, file);
    for (const { typeName } of file.enums) symbols.set(typeName, file);
    for (const service of file.services) {
      symbols.set(service.typeName, file);
      for (const { name } of service.methods) symbols.set(`${service.typeName}.${name}`, file);
    }
  }
  return symbols;
}

function fileAnswer(file: DescFile | undefined, name: string) {
  if (file === undefined) return failure(Code.NotFound, `${JSON.stringify(name)} is not known here`);
  const closure = new Map<string, DescFile>();
  addFile(closure, file);
  const fileDescriptorProto = [...closure.values()].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
}

function failure(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}
