{{- define "guestbook.account" -}}
{{- if .Values.serviceAccount.create }}{{ default .Release.Name .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}
{{- define "guestbook.pod" -}}
serviceAccountName: {{ include "guestbook.account" . }}
automountServiceAccountToken: {{ .Values.automountServiceAccountToken }}
{{- with .Values.podSecurityContext }}
securityContext: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- define "guestbook.container" -}}
{{- with .Values.securityContext }}
securityContext: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
