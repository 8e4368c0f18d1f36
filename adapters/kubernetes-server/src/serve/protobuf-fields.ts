/**
 * Objects in Kubernetes' protobuf encoding: the numbers of their fields, as the API's own messages have them. `*Name` stands for a message
 * whose fields appear in JSON among those of its owner; `?` marks a field that is absent unless it was set, so that its zero counts.
 */
export const fieldNumbers: Readonly<Record<string, readonly string[]>> = table(`
ObjectMeta 1=name 2=generateName 3=namespace 4=selfLink 5=uid 6=resourceVersion 7=generation 8=creationTimestamp 9=deletionTimestamp
  10=deletionGracePeriodSeconds 11=labels 12=annotations 13=ownerReferences 14=finalizers
OwnerReference 1=kind 3=name 4=uid 5=apiVersion 6=controller 7=blockOwnerDeletion
ObjectReference 1=kind 2=namespace 3=name 4=uid 5=apiVersion 6=resourceVersion 7=fieldPath
LocalObjectReference 1=name
Namespace 1=metadata 2=spec 3=status
NamespaceSpec 1=finalizers
NamespaceStatus 1=phase
ConfigMap 1=metadata 2=data 3=binaryData 4=immutable
Secret 1=metadata 2=data 3=type 4=stringData 5=immutable
ServiceAccount 1=metadata 2=secrets 3=imagePullSecrets 4=automountServiceAccountToken?
Service 1=metadata 2=spec 3=status
ServiceSpec 1=ports 2=selector 3=clusterIP 4=type 5=externalIPs 7=sessionAffinity 8=loadBalancerIP 9=loadBalancerSourceRanges 10=externalName
  11=externalTrafficPolicy 12=healthCheckNodePort 13=publishNotReadyAddresses 17=ipFamilyPolicy 18=clusterIPs 19=ipFamilies
  20=allocateLoadBalancerNodePorts 21=loadBalancerClass 22=internalTrafficPolicy 23=trafficDistribution
ServicePort 1=name 2=protocol 3=port 4=targetPort 5=nodePort 6=appProtocol
ServiceStatus 1=loadBalancer
LoadBalancerStatus 1=ingress
LoadBalancerIngress 1=ip 2=hostname 3=ipMode
Lease 1=metadata 2=spec
LeaseSpec 1=holderIdentity 2=leaseDurationSeconds 3=acquireTime 4=renewTime 5=leaseTransitions 6=strategy 7=preferredHolder
Event 1=metadata 2=involvedObject 3=reason 4=message 5=source 6=firstTimestamp 7=lastTimestamp 8=count 9=type 10=eventTime 11=series 12=action
  13=related 14=reportingComponent 15=reportingInstance
EventSource 1=component 2=host
EventSeries 1=count 2=lastObservedTime
Pod 1=metadata 2=spec 3=status
PodTemplateSpec 1=metadata 2=spec
PodSpec 1=volumes 2=containers 3=restartPolicy 4=terminationGracePeriodSeconds? 5=activeDeadlineSeconds? 6=dnsPolicy 7=nodeSelector
  8=serviceAccountName 9=serviceAccount 10=nodeName 11=hostNetwork 12=hostPID 13=hostIPC 15=imagePullSecrets 16=hostname 17=subdomain
  19=schedulerName 20=initContainers 21=automountServiceAccountToken? 22=tolerations 24=priorityClassName 25=priority? 30=enableServiceLinks?
Container 1=name 2=image 3=command 4=args 5=workingDir 6=ports 7=env 8=resources 9=volumeMounts 13=terminationMessagePath 14=imagePullPolicy
  16=stdin 17=stdinOnce 18=tty 20=terminationMessagePolicy
ContainerPort 1=name 2=hostPort 3=containerPort 4=protocol 5=hostIP
EnvVar 1=name 2=value
VolumeMount 1=name 2=readOnly 3=mountPath 4=subPath
ResourceRequirements 1=limits 2=requests
Toleration 1=key 2=operator 3=value 4=effect 5=tolerationSeconds?
LabelSelector 1=matchLabels 2=matchExpressions
LabelSelectorRequirement 1=key 2=operator 3=values
Deployment 1=metadata 2=spec 3=status
DeploymentSpec 1=replicas? 2=selector 3=template 4=strategy 5=minReadySeconds 6=revisionHistoryLimit? 7=paused 9=progressDeadlineSeconds?
DeploymentStrategy 1=type 2=rollingUpdate
RollingUpdateDeployment 1=maxUnavailable 2=maxSurge
ReplicaSet 1=metadata 2=spec 3=status
ReplicaSetSpec 1=replicas? 2=selector 3=template 4=minReadySeconds
Scale 1=metadata 2=spec 3=status
ScaleSpec 1=replicas
ScaleStatus 1=replicas 2=selector
Job 1=metadata 2=spec 3=status
JobSpec 1=parallelism? 2=completions? 3=activeDeadlineSeconds? 4=selector 5=manualSelector? 6=template 7=backoffLimit? 8=ttlSecondsAfterFinished?
  9=completionMode 10=suspend?
CronJob 1=metadata 2=spec 3=status
CronJobSpec 1=schedule 2=startingDeadlineSeconds? 3=concurrencyPolicy 4=suspend? 5=jobTemplate 6=successfulJobsHistoryLimit?
  7=failedJobsHistoryLimit? 8=timeZone
JobTemplateSpec 1=metadata 2=spec
PodDisruptionBudget 1=metadata 2=spec 3=status
PodDisruptionBudgetSpec 1=minAvailable 2=selector 3=maxUnavailable 4=unhealthyPodEvictionPolicy
Role 1=metadata 2=rules
ClusterRole 1=metadata 2=rules
PolicyRule 1=verbs 2=apiGroups 3=resources 4=resourceNames 5=nonResourceURLs
RoleBinding 1=metadata 2=subjects 3=roleRef
ClusterRoleBinding 1=metadata 2=subjects 3=roleRef
Subject 1=kind 2=apiGroup 3=name 4=namespace
RoleRef 1=apiGroup 2=kind 3=name
SelfSubjectAccessReview 1=metadata 2=spec 3=status
SelfSubjectAccessReviewSpec 1=resourceAttributes 2=nonResourceAttributes
SubjectAccessReview 1=metadata 2=spec 3=status
LocalSubjectAccessReview 1=metadata 2=spec 3=status
SubjectAccessReviewSpec 1=resourceAttributes 2=nonResourceAttributes 3=user 4=groups 6=uid
SubjectAccessReviewStatus 1=allowed 2=reason 3=evaluationError 4=denied
ResourceAttributes 1=namespace 2=verb 3=group 4=version 5=resource 6=subresource 7=name
NonResourceAttributes 1=path 2=verb
SelfSubjectRulesReview 1=metadata 2=spec 3=status
SelfSubjectRulesReviewSpec 1=namespace
SubjectRulesReviewStatus 3=incomplete 4=evaluationError
SelfSubjectReview 1=metadata 2=status
SelfSubjectReviewStatus 1=userInfo
UserInfo 1=username 2=uid 3=groups
TokenReview 1=metadata 2=spec 3=status
TokenReviewSpec 1=token 2=audiences
TokenReviewStatus 1=authenticated 2=user 3=error 4=audiences
Ingress 1=metadata 2=spec 3=status
IngressSpec 1=defaultBackend 2=tls 3=rules 4=ingressClassName
IngressTLS 1=hosts 2=secretName
IngressRule 1=host 2=*IngressRuleValue
IngressRuleValue 1=http
HTTPIngressRuleValue 1=paths
HTTPIngressPath 1=path 2=backend 3=pathType
IngressBackend 3=resource 4=service
IngressServiceBackend 1=name 2=port
ServiceBackendPort 1=name 2=number
`);

function table(text: string): Record<string, string[]> {
  const numbers: Record<string, string[]> = {};
  for (const line of text
    .trim()
    .replace(/\n {2}/g, " ")
    .split("\n")) {
    const [type = "", ...fields] = line.split(" ");
    const names: string[] = [];
    for (const field of fields) {
      const [number = "", name = ""] = field.split("=");
      names[Number(number)] = name;
    }
    numbers[type] = names;
  }
  return numbers;
}
